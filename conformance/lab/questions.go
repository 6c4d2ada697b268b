package lab

import (
	"context"
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"attls/extensions/profile"
)

//go:embed questions/*.yaml
var changedProfiles embed.FS

// question is one that people argue about, and the runs that answer it.
type question struct {
	title, where string
	runs         []questionRun
	// read says how to read the outcomes, and missing why there is no run.
	read, missing string
}

// questionRun is an attack on a profile.
type questionRun struct {
	attack, profile string
	lax             Lax
	only            string // beginning of what follows the profile in the key; empty: everything
}

// questions are those of issue trackers and mailing lists of drafts and products.
var questions = []question{
	{title: "May Evidence of the handshake answer when the relying party asks again?", where: "early-attestation",
		runs: []questionRun{{attack: "stale-evidence", profile: "early-attestation-07", only: "client/"},
			{attack: "stale-evidence", profile: "seat-expat-04"}},
		read: "The readings of the binder after the handshake differ: one takes the request into the transcript."},
	{title: "Which transcript counts after HelloRetryRequest?", where: "issue 74 of the editors of early-attestation",
		runs: []questionRun{{attack: "retry-readings", profile: "early-attestation-07", only: "server/"},
			{attack: "provoked-retry", profile: "early-attestation-07", only: "server/evidence"}},
		read: "Ends that read differently do not connect where their binders differ."},
	{title: "What does a resumed connection mean?", where: "issues 7 and 75 of the editors, expat 60",
		runs: []questionRun{
			{attack: "resumption-after-revocation", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "resumption-after-expiry", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "resumption-after-revocation", profile: "early-attestation-08pre", only: "server/evidence"},
			{attack: "resumption-after-expiry", profile: "early-attestation-08pre", only: "server/evidence"},
			{attack: "early-data-after-revocation", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "resumption-after-revocation", profile: "seat-expat-02", only: "server/evidence"}},
		read: "Accepted: the session was resumed, or early data taken, although the attestation would be refused now. In " +
			"authenticators the relying party asks in the resumed connection as well."},
	{title: "Why is the key hashed into the binder?", where: "expat 58",
		runs: []questionRun{
			{attack: "relay-verbatim-own-key", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "relay-verbatim-own-key", profile: "binder-without-key", only: "server/evidence"},
			{attack: "relay-verbatim-own-key", profile: "early-attestation-07", lax: LaxKey, only: "server/evidence"},
			{attack: "relay-verbatim-own-key", profile: "binder-without-key", lax: LaxKey, only: "server/evidence"}},
		read: "The profile binder-without-key is early-attestation-07 without the key in its binder. V8 is a relying party " +
			"that does not compare the key which the Evidence names."},
	{title: "Does a nonce of its own add anything?", where: "expat 57",
		runs: []questionRun{{attack: "replay-leaked-key", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "replay-leaked-key", profile: "seat-expat-04", only: "server/evidence"},
			{attack: "replay-leaked-key", profile: "tls-attestation-09", only: "server/evidence"},
			{attack: "replay-constant-nonce", profile: "tls-attestation-09", only: "server/evidence"}},
		read: "early-attestation-07 has no nonce, seat-expat-04 has the context of the request in the exporter alone, and " +
			"tls-attestation-09 has one; with a constant nonce the attestation alone is replayed."},
	{title: "Can negotiation be downgraded?", where: "expat 38 and 39",
		runs: []questionRun{{attack: "strip-offer", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "without-attestation", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "without-attestation", profile: "early-attestation-07", lax: LaxAbsent, only: "server/evidence"}},
		read: "V4 is a relying party that accepts absent attestation."},
	{title: "Which alert follows a failed appraisal?", where: "issue 8 of the editors",
		runs: []questionRun{{attack: "diversion-pinned", profile: "early-attestation-03", only: "server/evidence"},
			{attack: "diversion-pinned", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "diversion-pinned", profile: "tls-attestation-09", only: "server/evidence"}}},
	{title: "Is it a bug of the protocol or of the verifier?", where: "cocos 615",
		runs: []questionRun{{attack: "relay-leaked-key", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "relay-leaked-key", profile: "early-attestation-07", lax: LaxNever, only: "server/evidence"},
			{attack: "relay-leaked-key", profile: "early-attestation-07", lax: LaxEnvelope, only: "server/evidence"},
			{attack: "relay-leaked-key", profile: "deployed-dstack", only: "server/evidence"}},
		read: "V1 never compares the challenge, V3 compares it in the envelope. Where the run without a lax party is " +
			"accepted as well, no check of the relying party is missing."},
	{title: "Does the TEE commit itself to a key, and which attack lies outside that goal?", where: "contrast 2524",
		runs: []questionRun{{attack: "relay-own-key", profile: "deployed-contrast", only: "server/evidence"},
			{attack: "relay-leaked-key", profile: "deployed-contrast", only: "server/evidence"},
			{attack: "rehost", profile: "deployed-contrast", only: "server/evidence"}},
		read: "The first run is within the goal (another key), the others are outside it (the same key)."},
	{title: "Can Evidence be reflected?", where: "cmc 406",
		runs: []questionRun{{attack: "reflection", profile: "early-attestation-07", only: "both/evidence"},
			{attack: "reflection", profile: "tls-attestation-09", only: "both/evidence"}},
		read: "Both ends share one key, as in a cluster. Without that key it is refused."},
	{title: "Who sees Evidence before the peer is authenticated?", where: "several",
		runs: []questionRun{{attack: "harvest", profile: "early-attestation-07"}},
		read: "Each run counts three payloads that an end which shows nothing of itself has read."},
	{title: "Is attestation after the handshake only safe where weak groups are refused?",
		where:   "models of the architecture draft",
		missing: "The engine offers no weak group, so that this cannot be run here."},
	{title: "What does Extended Key Update add?", where: "tls-key-update 55, 90, 94 and 96",
		runs: []questionRun{{attack: "injected-update", profile: "early-attestation-07", only: "server/evidence"},
			{attack: "injected-update", profile: "seat-expat-04", only: "server/evidence"},
			{attack: "update-then-ask", profile: "early-attestation-07", only: "client/evidence"},
			{attack: "update-then-ask", profile: "seat-expat-04", only: "server/evidence"}},
		read: "A thief of the traffic secrets of one epoch takes the connection over with an update of its own, after the " +
			"attestation. Only an attestation after the update can refuse that, and only " +
			"with Evidence that is not the old one."},
	{title: "Can Evidence of an authenticator be used on another connection, or for another request?", where: "expat",
		runs: []questionRun{{attack: "relay-authenticator", profile: "seat-expat-04", only: "server/evidence"},
			{attack: "swapped-context", profile: "seat-expat-00", only: "server/evidence"},
			{attack: "swapped-context", profile: "seat-expat-04", only: "server/evidence"},
			{attack: "relay-leaked-key", profile: "seat-expat-00", only: "server/evidence"},
			{attack: "relay-leaked-key", profile: "seat-expat-04", only: "server/evidence"},
			{attack: "reattest-elsewhere", profile: "seat-expat-04", only: "server/evidence"}},
		read: "seat-expat-00 associates Evidence with the context of the request, and seat-expat-04 with the exporter of " +
			"the connection over that context and with the key."},
	{title: "May a client attest without authenticating?", where: "issue 5 of the editors",
		runs: []questionRun{{attack: "read-only", profile: "tls-attestation-09", only: "client/evidence/attestation"},
			{attack: "without-attestation", profile: "early-attestation-07", only: "client/evidence"}},
		read: "In tls-attestation-09 the attestation of a client may be its whole credential; early-attestation-07 has it " +
			"with a certificate alone, and a certificate without it is refused where the policy demands it."},
}

// load is the profile of a run: an embedded one, or one that was changed for a question.
func (q *questionRun) load() (p *profile.Profile, file string, err error) {
	src, err := changedProfiles.ReadFile("questions/" + q.profile + ".yaml")
	if err != nil {
		p, err = profile.Load(q.profile, profile.Options{})
		return p, q.profile, err
	}
	file = "conformance/lab/questions/" + q.profile + ".yaml"
	p, err = profile.Parse(file, src, profile.Options{})
	return p, file, err
}

// WriteQuestions runs what answers each question and writes the answers as Markdown.
func WriteQuestions(ctx context.Context, w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Questions that people argue about, and what a run says

Each question has a command, its outcomes with the outcome of the control, and the beginning of the SHA-256 of
all octets that were sent (session tickets differ from run to run, so there is none). ` +
		"An outcome holds for the capabilities of its script ([lab.md](lab.md)) and for relying parties of this module.\n" +
		"`attls lab questions > docs/questions.md`" + ` writes this file; a test compares it with new runs.
`)
	for i := range questions {
		if err := questions[i].write(ctx, &b); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (q *question) write(ctx context.Context, b *strings.Builder) error {
	fmt.Fprintf(b, "\n## %s\n\nAsked in: %s. ", q.title, q.where)
	if q.missing != "" {
		fmt.Fprintf(b, "%s\n", q.missing)
		return nil
	}
	fmt.Fprintf(b, "%s\n", q.read)
	for i := range q.runs {
		if err := q.runs[i].write(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (q *questionRun) write(ctx context.Context, b *strings.Builder) error {
	s, err := Load(q.attack)
	if err != nil {
		return err
	}
	p, file, err := q.load()
	if err != nil {
		return err
	}
	cells, err := Run(ctx, Options{Scripts: []*Script{s}, Profiles: []*profile.Profile{p}, Lax: q.lax})
	if err != nil {
		return err
	}
	cells = slices.DeleteFunc(cells, func(c *Cell) bool {
		_, _, rest := split(c.Key())
		return c.Inapplicable != "" || !strings.HasPrefix(rest, q.only)
	})
	command := fmt.Sprintf("attls lab --verbose --attack %s --profile %s", q.attack, file)
	if q.lax != "" {
		command += " --lax " + string(q.lax)
	}
	fmt.Fprintf(b, "\n```console\n$ %s\n```\n\n| run | outcome | control | recording |\n|---|---|---|---|\n", command)
	if len(cells) == 0 {
		return fmt.Errorf("%s chooses no run", command)
	}
	for _, c := range cells {
		if c.Error != "" {
			return fmt.Errorf("%s: %s", c.Key(), c.Error)
		}
		_, _, rest := split(c.Key())
		control := "–"
		if c.Control != nil {
			control = c.Control.Name + ": " + c.Control.Result.String()
		}
		told := c.Told()
		if c.Result.Outcome == Measured {
			told = fmt.Sprintf("measured: %d %s, bound %d", c.Result.Measured[s.Bound.Measure], s.Bound.Measure, s.Bound.Most)
		}
		recording := "–"
		if c.Result.Recording != "" {
			recording = fmt.Sprintf("`%.16s`", c.Result.Recording)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", rest, told, control, recording)
	}
	return nil
}
