// Package model writes a profile as a model for ProVerif, runs the program and reads
// what it says.
//
// A model is one text for one profile, one attester, one security goal and one set of
// capabilities of the attacker: a full handshake of TLS 1.3 with an abstract key schedule,
// in as many sessions as the attacker likes. The binder of the profile is translated from
// its expressions, so that a changed draft gives a changed model. Each model asks a second
// question as well: can two honest ends finish at all? A model in which they cannot
// proves nothing. docs/proverif.md describes what is modelled and what is not.
package model

import (
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
)

// Capability is something that the attacker can do or knows. The network is always the
// attacker's.
type Capability string

// The capabilities, in the order in which a model lists them.
const (
	Net    Capability = "net"    // reads, changes, drops and sends messages
	TIK    Capability = "tik"    // knows the private keys that Evidence vouches for
	LTK    Capability = "ltk"    // gets a certificate for any name and any key
	HS     Capability = "hs"     // knows the Handshake Secret of each connection of honest ends
	AP     Capability = "ap"     // knows the application traffic secrets of each such connection
	Oracle Capability = "oracle" // has the platform of an attester sign any challenge, for any key
	TEE2   Capability = "tee2"   // owns another platform that Verifiers accept, and fills its Evidence
	AK     Capability = "ak"     // knows the attestation keys
	Weak   Capability = "weak"   // the ends accept a group element that makes every shared secret known
)

// Capabilities lists all, in the order of models.
var Capabilities = []Capability{Net, TIK, LTK, HS, AP, Oracle, TEE2, AK, Weak}

var capabilityTexts = map[Capability]string{
	Net:    "controls the network: reads, changes, drops and sends messages",
	TIK:    "knows the private keys that Evidence vouches for",
	LTK:    "gets a certificate of the authority for any name and any key",
	HS:     "knows the Handshake Secret of each connection of honest ends",
	AP:     "knows the application traffic secrets of each such connection",
	Oracle: "has the platform of an attester sign any challenge, for any key",
	TEE2:   "owns another platform that Verifiers accept, and fills its Evidence",
	AK:     "knows the attestation keys",
	Weak:   "can make the ends accept a group element with which every shared secret is known",
}

// ParseCapabilities reads a list of words as on a command line, "tik,hs". The network is
// added; what is named twice counts once.
func ParseCapabilities(list string) ([]Capability, error) {
	set := []Capability{Net}
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '+' }) {
		c := Capability(word)
		if !slices.Contains(Capabilities, c) {
			return nil, fmt.Errorf("%q is not a capability; they are %s", word, words(Capabilities))
		}
		if !slices.Contains(set, c) {
			set = append(set, c)
		}
	}
	return sorted(set), nil
}

func words(list []Capability) string {
	s := make([]string, len(list))
	for i, c := range list {
		s[i] = string(c)
	}
	return strings.Join(s, ", ")
}

func sorted(set []Capability) (list []Capability) {
	for _, c := range Capabilities {
		if c == Net || slices.Contains(set, c) {
			list = append(list, c)
		}
	}
	return list
}

// Options say which model of a profile is wanted.
type Options struct {
	Attester     attls.Role   // the end that attests; the other one is the relying party
	Goal         Goal         // ""; GoalBinding
	Capabilities []Capability // the network is always among them
	Model        profile.Model
	// Credential is the kind of credential; nil: X.509 where the slot has it, otherwise the
	// payload alone.
	Credential *profile.CredentialKind
	// Pinned says that the relying party accepts the one platform that it expects, rather
	// than every one with accepted measurements.
	Pinned bool
	// NoBinder leaves out of the Evidence what binds it: the mutant in which proofs that the
	// binder carries must fall.
	NoBinder bool
}

// Refusal says why a profile has no model of the wanted kind.
type Refusal struct {
	Profile string
	Reason  string
}

func (r *Refusal) Error() string { return "no model of " + r.Profile + ": " + r.Reason }

// Generate writes a model. The error is a *Refusal where the profile has no such model,
// because it does not attest in that way or says something that models do not cover.
func Generate(p *profile.Profile, o Options) ([]byte, error) {
	g := generator{p: p, o: o, names: map[string]string{}, taken: map[string]bool{}}
	if o.Goal == "" {
		g.o.Goal = GoalBinding
	}
	g.o.Capabilities = sorted(o.Capabilities)
	if err := g.prepare(); err != nil {
		return nil, err
	}
	return g.write()
}

// Attesters lists the ends of a profile that attest in a model of Evidence.
func Attesters(p *profile.Profile) (list []attls.Role) {
	for _, r := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		if _, err := Generate(p, Options{Attester: r}); err == nil {
			list = append(list, r)
		}
	}
	return list
}

// generator writes one model.
type generator struct {
	p    *profile.Profile
	o    Options
	slot *profile.Slot
	cred *profile.Credential

	// cached says that the Evidence is made once for a certificate rather than in each
	// connection.
	cached bool
	claims []string // definitions whose values are claims of their own

	names     map[string]string // what a profile calls something, to its name in the model
	taken     map[string]bool
	constants []constant

	definitions []definition
	translated  map[definitionKey]*definition
	problem     error
}

type constant struct{ name, text string }

func (g *generator) has(c Capability) bool { return slices.Contains(g.o.Capabilities, c) }

func (g *generator) refuse(format string, args ...any) error {
	return &Refusal{g.p.ID, fmt.Sprintf(format, args...)}
}

// prepare finds the slot and the credential, and translates the binder.
func (g *generator) prepare() error {
	if !g.o.Goal.known() {
		return fmt.Errorf("%q is not a goal; they are %s", g.o.Goal, goalWords())
	}
	if err := g.choose(); err != nil {
		return err
	}
	if err := g.places(); err != nil {
		return err
	}
	if g.o.Goal == GoalNegotiation && !g.negotiated() {
		return g.refuse("nothing is offered and chosen for the attesting %s, so that there is no negotiation to agree on",
			g.o.Attester)
	}
	if g.o.Goal == GoalMachine && g.o.Pinned {
		return g.refuse("a relying party that accepts one platform only has reached the goal by its policy")
	}
	if err := g.bind(); err != nil {
		return err
	}
	g.cached = g.inCertificate() && !g.definitionsUseSession() ||
		g.o.Model == profile.ModelResults && g.challenge() == ""
	return nil
}

// choose finds the slot of the attester and the kind of its credential.
func (g *generator) choose() error {
	kinds := []profile.CredentialKind{profile.KindX509, profile.KindAlone}
	if g.o.Credential != nil {
		kinds = []profile.CredentialKind{*g.o.Credential}
	}
	after := ""
	for _, k := range kinds {
		for i := range g.p.Slots {
			s := &g.p.Slots[i]
			if s.Attester != g.o.Attester || !slices.Contains(s.Models, g.o.Model) || !slices.Contains(s.Kinds, k) {
				continue
			}
			if s.PostHandshake {
				after = ", but in post-handshake authentication, and models have nothing after the handshake"
				continue
			}
			if c, ok := g.p.CredentialFor(i, k); ok {
				g.slot, g.cred = s, c
				return nil
			}
		}
	}
	with := ""
	if g.o.Credential != nil {
		with = ", credential " + g.o.Credential.String()
	}
	return g.refuse("no slot has the attesting %s with %s%s%s", g.o.Attester, g.o.Model, with, after)
}

// negotiated says that schemes are offered and one is chosen.
func (g *generator) negotiated() bool { return !g.slot.Always }

// places refuses fields in messages that models do not have.
func (g *generator) places() error {
	allowed := func(what string, at profile.Place, kinds ...attls.MessageKind) error {
		if slices.Contains(kinds, at.Message) {
			return nil
		}
		return g.refuse("%s of slot %s travels in %s, where models have no field for it", what, g.slot.Name,
			at.Message.Name())
	}
	answers := []attls.MessageKind{attls.KindServerHello, attls.KindEncryptedExtensions, attls.KindCertificateRequest}
	if g.negotiated() {
		if err := allowed("the offer", g.slot.Offer, attls.KindClientHello); err != nil {
			return err
		}
		if err := allowed("the choice", g.slot.Choice, answers...); err != nil {
			return err
		}
	}
	if g.nonce() {
		kinds := answers
		if g.o.Attester == attls.RoleServer {
			kinds = []attls.MessageKind{attls.KindClientHello}
		}
		if err := allowed("the nonce", g.slot.Nonce, kinds...); err != nil {
			return err
		}
	}
	if g.cred.Carrier == profile.CarrierMessage && g.p.Messages[g.cred.Message].At[g.o.Attester] == binder.PointNone {
		return g.refuse("message %s is not sent by the attesting %s in the handshake", g.p.Messages[g.cred.Message].Name,
			g.o.Attester)
	}
	return nil
}

func (g *generator) nonce() bool { return g.slot.Nonce.Message != attls.KindNone }

// challenge names the definition of what the Evidence carries; "": nothing.
func (g *generator) challenge() string { return g.p.Binder.Challenge[g.o.Model][g.cred.Kind] }

func (g *generator) inCertificate() bool { return g.cred.Carrier == profile.CarrierCertificate }

func (g *generator) x509() bool { return g.cred.Kind == profile.KindX509 }

// keyClaim says that the payload names the key of the attester as a claim of its own.
func (g *generator) keyClaim() bool {
	return g.cred.KeyFrom == profile.KeyFromAppraisal || g.o.Model == profile.ModelResults
}
