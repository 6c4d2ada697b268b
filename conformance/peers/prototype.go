package peers

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/cases"
	"attls/conformance/scenario"
	"attls/internal/console"
)

// Prototype is the proof of concept's own programs: ssl_client2 and ssl_server2 of
// the mbedTLS that was patched for it in 2022 and 2023. They are not built here.
// A server that asks a Veraison verifier gets one of ours.
type Prototype struct {
	Client, Server string // paths; either may be empty
	// Verifier has the endorsed keys and the reference values of a client whose
	// Evidence comes from Parsec; nil: none.
	Verifier *attestation.Verifier
}

// NewPrototype takes paths and the name of a verifier's file (as "attls evidence
// init" writes it); what is empty comes from the environment: ATTLS_POC_CLIENT,
// ATTLS_POC_SERVER and ATTLS_POC_VERIFIER.
func NewPrototype(client, server, verifier string) (Prototype, error) {
	p := Prototype{Client: absolute(or(client, os.Getenv("ATTLS_POC_CLIENT"))),
		Server: absolute(or(server, os.Getenv("ATTLS_POC_SERVER")))}
	var err error
	for _, program := range []struct{ path, flag, own, other string }{
		{p.Client, "--poc-client", "ssl_client2", "ssl_server2"}, {p.Server, "--poc-server", "ssl_server2", "ssl_client2"},
	} {
		if isOther(program.path, program.own, program.other) {
			return p, fmt.Errorf("%s wants %s, and %s is %s", program.flag, program.own, program.path, program.other)
		}
	}
	if verifier = or(verifier, os.Getenv("ATTLS_POC_VERIFIER")); verifier != "" {
		p.Verifier, err = attestation.LoadVerifier(verifier, roots.All())
	}
	return p, err
}

// isOther reports whether a program is mbedTLS's other program than the one that is
// wanted, by the line with which both explain how they are used.
func isOther(path, own, other string) bool {
	return path != "" && !holds(path, "usage: "+own+" param=") && holds(path, "usage: "+other+" param=")
}

// absolute is the path of a program that is run in another directory than ours.
func absolute(name string) string {
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return name // it is missing, which is said where it is wanted
	}
	return path
}

// prototypeProfile is the profile that the programs speak.
const prototypeProfile = "mbedtls-poc"

// prototypePairs are the stacks that meet the programs.
var prototypePairs = [][2]string{{InProcess{}.Name(), Prototype{}.Name()}, {Prototype{}.Name(), InProcess{}.Name()}}

// prototypeOptions are the dimensions that our engine and the programs share.
func prototypeOptions(o Options) Options {
	return Options{Pairs: o.Prototype, Profiles: []string{prototypeProfile}, Suites: mbedTLSSuites[1:], Groups: o.Groups,
		Full: o.Full, Faults: o.Faults, Chosen: o.Chosen, Stacks: o.Stacks}
}

// Name implements Peer: it is what grids, pages and flags call the stack.
func (Prototype) Name() string { return "poc" }

// OwnAnswer implements Answerer: the server answers with a page.
func (Prototype) OwnAnswer() (own bool, request string) { return true, "" }

// Missing implements Peer.
func (p Prototype) Missing() string {
	if p.Client == "" && p.Server == "" {
		return "the proof of concept's ssl_client2 and ssl_server2 are not here (--poc-client, --poc-server)"
	}
	for _, path := range []string{p.Client, p.Server} {
		if path == "" {
			continue
		}
		if reason := missingProgram(path, path); reason != "" {
			return reason
		}
	}
	return ""
}

// Identify implements Identifier.
func (p Prototype) Identify(context.Context) (version, where string, err error) {
	var paths []string
	for _, path := range []string{p.Client, p.Server} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return "mbedTLS 3.1-dev, patched", strings.Join(paths, " "), nil
}

// Limit implements Peer.
func (p Prototype) Limit(s *scenario.Scenario, r attls.Role) string {
	switch {
	case r == attls.RoleClient && p.Client == "":
		return "its ssl_client2 is not here (--poc-client)"
	case r == attls.RoleServer && p.Server == "":
		return "its ssl_server2 is not here (--poc-server)"
	case r == attls.RoleClient && p.Verifier == nil && holds(p.Client, "psa_generate_key returned"):
		return "its Evidence comes from Parsec, and --poc-verifier does not say by which key and for which platform"
	case s.Profile != prototypeProfile:
		return "the proof of concept's programs speak " + prototypeProfile + " only"
	case !slices.Contains(mbedTLSGroups, s.Group):
		return "mbedTLS 3.1 has no group " + s.Group
	case !slices.Contains(mbedTLSSuites, s.Suite):
		return "mbedTLS 3.1 has no cipher suite " + s.Suite
	case s.Resumption != "":
		return "the proof of concept has no tickets and therefore no resumption"
	case r == attls.RoleClient && s.Fail == "attester-unavailable":
		return "its client makes its Evidence itself"
	case r == attls.RoleServer && s.Fail == "verifier-unreachable" && !p.asksVerifier():
		return "its server has its verifier built in"
	case r == attls.RoleServer && slices.Contains(cases.Lies(), s.Fail) && !p.asksVerifier():
		return "the fault " + s.Fail + " lies in a verdict inside its server"
	case r == attls.RoleServer && s.Injected() == "unaware-server":
		return "its server always demands attestation"
	case len(s.CodePoints) > 0 || len(s.Readings) > 0:
		return "the proof of concept's programs are compiled with their code points and one reading"
	case s.Cookie && r == attls.RoleServer:
		return "mbedTLS sends no cookie"
	}
	return ""
}

// Start implements Peer.
func (p Prototype) Start(ctx context.Context, t *Task) (Process, error) {
	if t.Role == attls.RoleServer {
		return p.startServer(ctx, t)
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, err
	}
	program, err := p.run(ctx, t, p.Client, "client_att_type=eat", "server_name="+serverName, "server_addr="+host,
		"server_port="+port)
	if err != nil {
		return nil, err
	}
	return follow(ctx, program, "", withProgram(program, prototypeClient), readPrototype(t)), nil
}

// run runs one of the programs, in the directory of the connection, since it keeps
// files of keys in its own.
func (p Prototype) run(ctx context.Context, t *Task, path string, more ...string) (*console.Program, error) {
	args := append(more, "debug_level=4", "ca_file="+t.authority()) // the level at which it prints every message
	if t.Scenario.Suite != "" {
		args = append(args, "force_ciphersuite="+mbedTLSSuite(t.Scenario.Suite))
	}
	if list := groups(&t.Scenario, t.Role); list != nil {
		args = append(args, "curves="+strings.Join(list, ","))
	}
	return console.StartIn(ctx, t.Directory, nil, path, args...)
}

// startServer starts the server, with a Verifier where it asks one.
func (p Prototype) startServer(ctx context.Context, t *Task) (Process, error) {
	args := []string{"attestation_callback=1", "force_version=tls13", "auth_mode=required", "server_addr=127.0.0.1",
		"crt_file=" + t.certificate(), "key_file=" + t.key()}
	var verifier *veraison
	if p.asksVerifier() {
		_, appraiser := p.Root()(nil)
		var err error
		if verifier, err = startVeraison(appraiser, lieOf(&t.Scenario)); err != nil {
			return nil, err
		}
		args = append(args, "veraison_endpoint="+verifier.url())
		if t.Scenario.Fail == "verifier-unreachable" {
			verifier.stop()
		}
	}
	program, address, err := console.StartServer(ctx, mbedTLSWaits.String(), "mbedtls_net_bind returned",
		func(port string) (*console.Program, error) {
			return p.run(ctx, t, p.Server, append(args, "server_port="+port)...)
		})
	if err != nil {
		verifier.stop()
		return nil, err
	}
	following := follow(ctx, program, address, withProgram(program, prototypeServes), readPrototype(t))
	return &prototypeServer{following, verifier}, nil
}

// lieOf is the lie that a scenario wants of a Verifier; empty: none.
func lieOf(s *scenario.Scenario) string {
	if slices.Contains(cases.Lies(), s.Fail) {
		return s.Fail
	}
	return ""
}

// prototypeServer is the server with the Verifier that it asks, if it does.
type prototypeServer struct {
	*textual
	verifier *veraison
}

func (p *prototypeServer) Stop() {
	p.textual.Stop()
	p.verifier.stop()
}

// prototypeServed is what the server prints when it is ready again.
var prototypeServed = regexp.MustCompile(`(?s)(<= write close notify|Last error was).{0,800}` + mbedTLSWaits.String())

// prototypeClient lets the client send its request and read until it has enough.
func prototypeClient(ctx context.Context, p *console.Program) (sent, received int64, err error) {
	err = p.Wait(ctx)
	sent, received = prototypeData(p)
	return sent, received, err
}

// prototypeServes lets the server have one connection.
func prototypeServes(ctx context.Context, p *console.Program) (sent, received int64, err error) {
	_, err = p.Await(ctx, prototypeServed)
	p.Stop()
	sent, received = prototypeData(p)
	return sent, received, err
}

// asksVerifier reports whether the server is one of those that ask a Verifier, and
// not the one that has a Verifier built in: they have an option for its address.
func (p Prototype) asksVerifier() bool { return holds(p.Server, "veraison_endpoint") }

// holds reports whether a program has a text in it, by which its variants are told
// apart.
func holds(path, text string) bool {
	b, err := os.ReadFile(path)
	return err == nil && bytes.Contains(b, []byte(text))
}
