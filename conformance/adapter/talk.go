package adapter

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"attls"
	"attls/internal/console"
)

var asked = regexp.MustCompile(regexp.QuoteMeta(strings.TrimSpace(Asked)))

// usual are the conversations of an end that does not say its own.
var usual = map[attls.Role][]Step{
	attls.RoleClient: {{Act: ActType, Text: Asked},
		{Act: ActAwait, Pattern: asked, Standard: true, Sends: true, Receives: true},
		{Act: ActCloseInput}, {Act: ActEnd}},
	attls.RoleServer: {{Act: ActAwait, Pattern: asked, Receives: true}, {Act: ActType, Text: Asked, Sends: true},
		{Act: ActEnd}},
}

// Talk has the conversation of an end in one connection. It returns how many octets of
// application data went each way, as far as their content was seen. After one that is not the
// last, a server goes on.
func (r *Running) Talk(ctx context.Context, e *ConformEnd, role attls.Role, last bool) (sent, received int64,
	err error) {
	steps := e.Talk
	if steps == nil {
		steps = usual[role]
	}
	if !last {
		steps = e.continued(steps)
		defer func() { r.mark = r.program.Mark() }()
	}
	for i := range steps {
		s := &steps[i]
		if err != nil && s.Act != ActStop || s.When != nil && !s.When.holds(r.values) {
			continue
		}
		if failure := r.act(ctx, s); failure != nil {
			err = failure
			continue
		}
		if s.Sends {
			sent = int64(len(Asked))
		}
		if s.Receives {
			received = int64(len(Asked))
		}
	}
	if r.values[EarlyAccepted] != "" && received > 0 { // what came back went as 0-RTT data
		sent = int64(len(Asked))
	}
	return sent, received, err
}

// EarlyAccepted is set among the values of a client whose question goes as 0-RTT data, and is
// taken; files do not see it.
const EarlyAccepted = "early_accepted"

// Set gives a variable another value, for the conditions of steps.
func (r *Running) Set(variable, value string) {
	r.values = maps.Clone(r.values)
	r.values[variable] = value
}

// continued are the steps in a connection that another one follows.
func (e *ConformEnd) continued(steps []Step) []Step {
	out := slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Act > ActAwait })
	for _, closed := range e.Closed {
		out = append(out, Step{Act: ActAwait, Pattern: closed})
	}
	return out
}

// Counts reports whether the conversation of an end shows that data goes each way.
func (e *ConformEnd) Counts() (sent, received bool) {
	if e.Talk == nil {
		return true, true
	}
	for i := range e.Talk {
		sent, received = sent || e.Talk[i].Sends, received || e.Talk[i].Receives
	}
	return sent, received
}

// act does a step.
func (r *Running) act(ctx context.Context, s *Step) error {
	switch s.Act {
	case ActType:
		return r.typed(ctx, s.Text)
	case ActCloseInput:
		r.program.CloseInput()
	case ActEnd:
		return r.program.Wait(ctx)
	case ActStop:
		r.program.Stop()
	case ActAwait:
		return r.awaited(ctx, s)
	}
	return nil
}

// typed types a text. A program that does not take it has ended or is about to: it is waited
// for, since what it says of the reason is still to come.
func (r *Running) typed(ctx context.Context, text string) error {
	err := r.program.Type(text)
	if err != nil {
		_ = r.program.Wait(ctx)
	}
	return err
}

// awaited waits for what a step awaits, or for what says that it will not come.
func (r *Running) awaited(ctx context.Context, s *Step) error {
	await := r.program.Await
	switch {
	case r.mark != console.Mark{}:
		await = func(ctx context.Context, p *regexp.Regexp) ([]string, error) {
			return r.program.AwaitAfter(ctx, r.mark, p)
		}
	case s.Standard:
		await = r.program.AwaitOutput
	}
	if s.Fails == nil {
		_, err := await(ctx, s.Pattern)
		return err
	}
	either := regexp.MustCompile(`(?:` + s.Pattern.String() + `)|(?P<failed>` + s.Fails.String() + `)`)
	m, err := await(ctx, either)
	if err != nil {
		return err
	}
	at := either.SubexpIndex("failed")
	switch {
	case m[at] == "":
		return nil
	case s.Fails.NumSubexp() > 0 && m[at+1] != "":
		return errors.New(attls.Printable(m[at+1]))
	}
	return errors.New(attls.Printable(m[at]))
}
