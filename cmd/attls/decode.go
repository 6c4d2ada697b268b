package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/capture"
	"attls/conformance/claims"
	"attls/conformance/dissect"
	"attls/extensions/profile"
)

type decodeFlags struct {
	profile    profileFlags
	profiles   []string
	keys       []string
	connection int
	asJSON     bool
	hex        bool

	search dissect.Search
	loaded map[string]*profile.Profile // by name
}

func decodeCommand() *cobra.Command {
	f := &decodeFlags{}
	c := &cobra.Command{
		Use:   "decode FILE|-",
		Short: "Explain a recorded connection message by message",
		Long: `decode reads TLS 1.3 connections from a pcap or pcapng file, gzipped or not, of
any implementation, or from standard input (-), opens them with the key log that
is in the file or is given with --keys, and draws what was sent, with the fields
of the profile decoded. It reports on standard error what it could not read:
packets, tunnels, lines of a key log.

It computes the attestation binder again where the secrets of a key log allow it
and compares it with the challenge inside the Evidence, and it runs the checks of
both receivers over what was sent: a rule that was broken is named. Whether the
attester is to be trusted is a question for a Verifier, which decode does not ask.

Without --profile it takes the profile that fits what was sent best; with several,
the one of them that does, or the first of those that do. It exits 1 if a rule was
broken or something could not be read.`,
		Example: `  attls demo --pcap run.pcapng && attls decode run.pcapng
  attls decode peer.pcap --keys peer.keys --profile tls-attestation-07
  attls decode peer.pcap --keys peer.keys --connection 2 --hex
  attls decode peer.pcap --keys peer.keys --json | jq '.[0].findings'
  tcpdump -i lo -c 40 -w - tcp port 4433 | attls decode - --keys peer.keys`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	flags := c.Flags()
	flags.StringArrayVarP(&f.profiles, "profile", "p", nil,
		`profile: an id (see "attls profile list"), a YAML file, or none: plain TLS; of several the one that fits best`)
	f.profile.registerAdjustments(c)
	complete(c, "profile", profile.Names()...)
	flags.StringArrayVarP(&f.keys, "keys", "k", nil, "file with secrets in the NSS key log format (may be repeated)")
	flags.IntVarP(&f.connection, "connection", "n", 0, "only connection N, counted from 1 (0: all)")
	flags.BoolVar(&f.asJSON, "json", false, "print a JSON array with an object for each connection instead of the drawing")
	flags.BoolVar(&f.hex, "hex", false, "add the octets of every handshake message")
	return c
}

func (f *decodeFlags) run(c *cobra.Command, name string) error {
	file, broken := f.read(c, name)
	if file == nil {
		return unavailable(fmt.Errorf("%s: %w", name, broken))
	}
	connections, keys := file.Connections, file.Keys
	for _, note := range file.Notes {
		f.warn(c, name+": "+note)
	}
	if err := f.readKeys(c, keys); err != nil {
		return err
	}
	if f.connection < 0 || f.connection > len(connections) {
		return usage("--connection %d: %s holds %d", f.connection, name, len(connections))
	}
	all := []*dissect.Dissection{}
	sound := true
	for i, connection := range connections {
		if f.connection != 0 && f.connection != i+1 {
			continue
		}
		d, err := f.dissect(connection, keys)
		if err != nil {
			return err
		}
		sound = sound && d.Complete && len(d.Findings) == 0
		if f.hex {
			for s := range d.Ladder {
				d.Ladder[s].Raw = hex.EncodeToString(d.Ladder[s].Bytes())
			}
		}
		if !f.asJSON {
			p := newPainter(c.OutOrStdout())
			p.dissection(i+1, d)
		}
		all = append(all, d)
	}
	if f.asJSON {
		_ = writeJSON(c.OutOrStdout(), all)
	}
	switch {
	case broken != nil:
		return failed("%s: %w", name, broken)
	case len(all) == 0:
		return failed("%s holds no TCP connection", name)
	case !sound:
		return failed("not everything is as it should be")
	}
	return nil
}

// read reads a capture file, or standard input for a name of "-".
func (f *decodeFlags) read(c *cobra.Command, name string) (*capture.File, error) {
	if name == "-" {
		return capture.Read(c.InOrStdin())
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return capture.Read(file)
}

func (f *decodeFlags) warn(c *cobra.Command, text string) {
	fmt.Fprintln(c.ErrOrStderr(), "attls: "+text)
}

func (f *decodeFlags) readKeys(c *cobra.Command, keys capture.KeyLog) error {
	for _, name := range f.keys {
		file, err := os.Open(name)
		if err != nil {
			return unavailable(err)
		}
		log, passedOver, err := capture.ReadKeyLog(name, file)
		file.Close()
		if err != nil {
			return unavailable(err)
		}
		for _, line := range passedOver {
			f.warn(c, line)
		}
		keys.Add(log)
	}
	return nil
}

// load loads a profile with the settings of the flags, once.
func (f *decodeFlags) load(name string) (*profile.Profile, error) {
	if p := f.loaded[name]; p != nil {
		return p, nil
	}
	points, err := parseCodePoints(f.profile.codePoints)
	if err != nil {
		return nil, usage("%v", err)
	}
	p, err := profile.Load(name, profile.Options{Readings: f.profile.readings, CodePoints: points})
	if err != nil {
		return nil, usage("%w", err)
	}
	if f.loaded == nil {
		f.loaded = map[string]*profile.Profile{}
	}
	f.loaded[name] = p
	return p, nil
}

// dissect reads a connection under the profile of the flags, or under the one
// that fits best.
func (f *decodeFlags) dissect(c *capture.Connection, keys capture.KeyLog) (*dissect.Dissection, error) {
	p, note, err := f.choose(c, keys)
	if err != nil {
		return nil, err
	}
	d := dissect.Dissect(c, keys, p)
	if note != "" {
		d.Notes = append(d.Notes, note)
	}
	return d, nil
}

// choose finds the profile of a connection, nil for none, and what there is to say of that.
func (f *decodeFlags) choose(c *capture.Connection, keys capture.KeyLog) (*profile.Profile, string, error) {
	if len(f.profiles) == 1 {
		if f.profiles[0] == noProfile {
			return nil, "", nil
		}
		p, err := f.load(f.profiles[0])
		return p, "", err
	}
	if len(f.search.Among) == 0 {
		for _, name := range f.profiles {
			if name == noProfile {
				return nil, "", usage("--profile none goes with no other profile")
			}
			p, err := f.load(name)
			if err != nil {
				return nil, "", err
			}
			f.search.Among = append(f.search.Among, p)
		}
	}
	fits := f.search.Fit(c, keys)
	if len(fits) == 0 {
		if len(f.profiles) > 0 {
			return nil, "Nothing of the profiles that were named was found.", nil
		}
		return nil, "Nothing of an embedded profile was found; --profile names another one.", nil
	}
	taken := fits[0]
	if len(f.profiles) == 0 { // the default where it is one of them, or the newest
		taken = fits[len(fits)-1]
		if i := slices.IndexFunc(fits, func(p *profile.Profile) bool { return p.ID == defaultProfile }); i >= 0 {
			taken = fits[i]
		}
	}
	var names []string
	for _, p := range fits {
		names = append(names, p.ID)
	}
	p := taken
	if len(f.profiles) == 0 {
		var err error
		if p, err = f.load(taken.ID); err != nil { // with the readings and numbers of the flags
			return nil, "", err
		}
	}
	if len(names) == 1 {
		return p, "", nil
	}
	return p, fmt.Sprintf("What was sent fits these profiles alike, and %s was taken: %s.", p.ID,
		strings.Join(names, ", ")), nil
}

// dissection draws a connection.
func (p *painter) dissection(n int, d *dissect.Dissection) {
	under := "without a profile"
	if d.Profile != "" {
		under = "under " + d.Profile
	}
	p.line(p.in(bold, fmt.Sprintf("Connection %d: %s to %s, %s", n, d.Client, d.Server, under)))
	if !d.Began.IsZero() {
		p.line(p.in(faint, "begun "+d.Began.UTC().Format("2006-01-02 15:04:05.000")+" UTC"))
	}
	p.line()
	p.ladder(d.Ladder)
	for i := range d.Attestation {
		p.attestation(&d.Attestation[i])
	}
	for i := range d.Findings {
		p.finding(d, &d.Findings[i])
	}
	for _, note := range d.Notes {
		p.flow(p.width, "      ", p.in(yellow, "Note: "+note))
	}
	switch {
	case len(d.Findings) > 0:
	case d.Complete:
		p.line(p.in(green, "No rule is seen to be broken."))
	default:
		p.line("No rule is seen to be broken in what could be read.")
	}
	p.line()
}

func (p *painter) attestation(a *dissect.Attestation) {
	what := map[string]string{claims.ModelEvidence: "Evidence", claims.ModelResults: "Attestation Results"}[a.Model]
	if a.Later {
		what += " after the handshake"
	}
	switch a.Phase {
	case "":
	case claims.PhaseKeyUpdate:
		what += " with a key update"
	default:
		what += " in an " + a.Phase
	}
	p.titled(fmt.Sprintf("%s of the %s, slot %s: ", what, a.Attester, a.Slot), plain, a.Payload)
	if a.RequestContext != "" {
		p.line("  certificate_request_context:")
		p.line("    ", a.RequestContext)
	}
	if a.Epoch > 0 {
		p.line("  key epoch ", strconv.FormatUint(a.Epoch, 10))
	}
	if a.Key != "" {
		p.line("  SHA-256 of the attested key:")
		p.line("    ", a.Key)
	}
	if a.Binder != nil {
		p.line("  binder, computed from the recording:")
		p.line("    ", orDash(a.Binder.Value))
		if a.Binder.Tree != nil {
			p.tree(a.Binder.Tree, "    ", "    ")
		}
	}
	if a.Challenge != "" {
		p.line("  challenge inside the payload:")
		p.line("    ", a.Challenge)
	}
	if len(a.Fields) > 0 {
		p.line("  fields of ", a.RootOfTrust, " Evidence:")
		p.fields(a.Fields, "    ")
	}
	mark, colour := "  ? not compared", yellow
	switch a.Comparison {
	case dissect.Equal:
		mark, colour = "  ✓ the payload carries this connection's challenge", green
	case dissect.Different:
		mark, colour = "  ✗ the payload carries another challenge", red
	}
	if a.Reason != "" {
		mark += ": " + a.Reason
	}
	p.flow(p.width, "  ", p.in(colour, mark))
	for _, r := range a.Readings {
		p.line("    it would be right under ", r.String())
	}
	p.line()
}

// finding names a rule that was broken, by whom, and what came of it.
func (p *painter) finding(d *dissect.Dissection, f *dissect.Finding) {
	where := ""
	if f.Step >= 0 {
		where = ", with " + d.Ladder[f.Step].What
	}
	text := fmt.Sprintf("The %s broke a rule%s: %s", f.Sender, where, claimText(&f.ErrorClaim))
	p.flow(p.width, "  ", p.in(red, text))
	if f.Alert == nil {
		return
	}
	switch {
	case f.Answered == nil:
		text = fmt.Sprintf("  The %s has to refuse it with %s; no alert of it was recorded.", f.Receiver, f.Alert.Name)
	case f.Answered.Code == f.Alert.Code:
		text = fmt.Sprintf("  The %s refused it with %s, as required.", f.Receiver, f.Alert.Name)
	default:
		text = fmt.Sprintf("  The %s refused it with %s; it has to be %s.", f.Receiver, f.Answered.Name, f.Alert.Name)
	}
	p.flow(p.width, "", text)
	p.line()
}
