package workbench

import (
	"attls"
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
}

const defaultProfile = "early-attestation-06"

func (e *Engine) about() About {
	a := About{Version: claims.StackVersion(), Profiles: profile.Names(), Default: defaultProfile, Keys: profile.Keys()}
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
