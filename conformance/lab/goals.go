package lab

// Goal is a security goal that others have stated.
type Goal struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	From  string `json:"from"`
}

// Where goals are stated.
const (
	useCases = "draft-ietf-seat-use-cases, section 4"
	idCrisis = "the models of \"identity crisis in confidential computing\""
	ihf      = "the models of intra-handshake.fail"
)

// Goals lists them.
var Goals = []Goal{
	{"4.1", "Cryptographic binding to the communication channel", useCases},
	{"4.2", "Compound authentication", useCases},
	{"4.3", "Cryptographic binding to the machine identifier", useCases},
	{"4.4", "Freshness of the attestation credential", useCases},
	{"4.5", "Negotiation and capability discovery", useCases},
	{"4.6", "Flexibility of the attestation model", useCases},
	{"4.7", "Interaction with peer authentication", useCases},
	{"4.8", "Runtime attestation", useCases},
	{"4.9", "Privacy preservation", useCases},
	{"4.10", "Performance and efficiency", useCases},
	{"server-identity", "The Evidence is of the server whose identity was asked for", idCrisis},
	{"server-authentication", "The server that the client ends at is the one that it authenticates", idCrisis},
	{"compound-authentication", "Evidence and authentication are about the same end", idCrisis},
	{"agreement", "Both ends agree on the connection and on the Evidence", idCrisis},
	{"secrecy", "What the ends send is known to them alone", idCrisis},
	{"freshness", "The Evidence is of this interaction", idCrisis},
	{"integrity", "The Evidence is what the attester made", idCrisis},
	{"G1", "The Evidence correlates with the Diffie-Hellman secret", ihf},
	{"G2", "The Evidence correlates with the client's handshake key", ihf},
	{"G3", "The Evidence correlates with the client's application key", ihf},
}

func goalNamed(id string) *Goal {
	for i := range Goals {
		if Goals[i].ID == id {
			return &Goals[i]
		}
	}
	return nil
}

func goalNames() []string {
	names := make([]string, len(Goals))
	for i := range Goals {
		names[i] = Goals[i].ID
	}
	return names
}
