package workbench

import (
	"attls"
	"attls/conformance/trace"
)

// Phase is where a part of a connection begins: the step of the ladder, and a heading for it.
type Phase struct {
	At   int    `json:"at"`
	Name string `json:"name"`
}

// The headings.
const (
	phaseHandshake     = "Handshake"
	phaseData          = "Application data"
	phaseTicket        = "Session ticket"
	phaseKeyUpdate     = "Key update"
	phaseExtended      = "Extended Key Update"
	phasePostHandshake = "Post-handshake authentication"
	phaseExported      = "Exported authenticators, in application data"
	phaseClose         = "Close"
)

// phases divides a ladder. What comes before both Finished is the handshake; exported says that
// authentication after it is that of exported authenticators.
func phases(ladder []trace.Step, exported bool) []Phase {
	list := []Phase{}
	finished := map[string]bool{}
	now, both := phaseHandshake, 2
	for i := range ladder {
		s := &ladder[i]
		if len(finished) == both || s.Kind == attls.KindNone && finished[s.From] {
			now = phaseAfter(s, now, exported)
		} else if s.Kind == attls.KindFinished {
			finished[s.From] = true
		}
		if len(list) == 0 || list[len(list)-1].Name != now {
			list = append(list, Phase{i, now})
		}
	}
	return list
}

// phaseAfter is the phase of a step after the handshake, which continues the one before where
// nothing else begins.
func phaseAfter(s *trace.Step, now string, exported bool) string {
	switch s.Kind {
	case attls.KindNewSessionTicket:
		return phaseTicket
	case attls.KindKeyUpdate:
		return phaseKeyUpdate
	case attls.KindExtendedKeyUpdate:
		return phaseExtended
	case attls.KindNone:
		switch {
		case s.Alert != nil:
			return phaseClose
		case now == phaseExported: // the data has the authenticators in it
			return now
		}
		return phaseData
	}
	if exported {
		return phaseExported
	}
	return phasePostHandshake
}
