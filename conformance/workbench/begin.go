package workbench

import (
	"slices"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/claims"
	"attls/extensions/profile"
)

// Begin is what the page shows first. It is stored with the page, since the engine says the
// same each time, and takes longer to load than a page may.
type Begin struct {
	About About  `json:"about"`
	Text  string `json:"text"` // a profile that changes nothing yet
	Check *Check `json:"check"`
	Run   *Run   `json:"run"`
}

// About is what the page has to know before anything else.
type About struct {
	Version  string        `json:"version"`
	Profiles []string      `json:"profiles"`
	Default  string        `json:"default"` // the profile to begin with
	Keys     []profile.Key `json:"keys"`
	Causes   []string      `json:"causes"`
	Groups   []string      `json:"groups"`
	Roots    []Root        `json:"roots"`
}

// Root is a root of trust that can attest in a run.
type Root struct {
	Name   string `json:"name"`
	Absent string `json:"absent,omitempty"` // why a page does not have it
}

// absent are the roots of trust that are not in a page.
var absent = []Root{
	{"sev-snp", noLibrary}, {"tdx", noLibrary}, // attestation/roots, for js
	{"tpm-certify", "it certifies keys that are in the TPM, and the keys of the page are not"},
}

const noLibrary = "the libraries that read its Evidence do not compile for browsers"

func allRoots() []Root {
	list := []Root{}
	for _, f := range roots.All().All() {
		not := slices.ContainsFunc(absent, func(r Root) bool { return r.Name == f.Name })
		if (f.Emulate != nil || f.Name == attestation.EAT) && !not {
			list = append(list, Root{Name: f.Name})
		}
	}
	return append(list, absent...)
}

const defaultProfile = "early-attestation-06"

func (e *Engine) about() About {
	a := About{Version: claims.StackVersion(), Profiles: profile.Names(), Default: defaultProfile, Keys: profile.Keys(),
		Roots: allRoots()}
	for _, c := range profile.Causes() {
		a.Causes = append(a.Causes, c.Word)
	}
	for _, g := range []attls.NamedGroup{attls.GroupX25519, attls.GroupX25519MLKEM768, attls.GroupSecp256r1,
		attls.GroupSecp384r1, attls.GroupSecp521r1} {
		a.Groups = append(a.Groups, g.String())
	}
	return a
}

// begin is the page as it begins.
func (e *Engine) begin(*Request) (*Begin, error) {
	b := &Begin{About: e.about()}
	var err error
	if b.Text, err = profile.New("mine", b.About.Default); err != nil {
		return nil, err
	}
	r := &Request{Text: b.Text}
	if b.Check, err = e.check(r); err != nil {
		return nil, err
	}
	b.Run, err = e.run(r)
	return b, err
}
