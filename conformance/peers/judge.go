package peers

import (
	"fmt"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// findFault is what a scenario injects.
func findFault(s *scenario.Scenario) (*cases.Case, error) {
	p, err := s.Load()
	if err != nil {
		return nil, err
	}
	return cases.All().Fault(p, *s, s.Injected())
}

// judgeFault holds the end that has to deal with a fault to what it must do.
func judgeFault(c *Case, client, server *claims.Claims) error {
	f, err := findFault(&c.Scenario)
	if err != nil {
		return err
	}
	switch {
	case f.Unattested:
		return judgeUnattested(c.Scenario, *client, *server)
	case f.Takes != "" && !c.Scenario.EarlyData:
		sent, taken := *client, *server
		sent.EarlyData, taken.EarlyData = "", "" // the client's claims are of its engine, which offers none where a tap does
		return judgeSound(&c.Scenario, &sent, &taken)
	case f.Takes != "":
		return judgeSound(&c.Scenario, client, server)
	}
	return judgeRejection(f, &c.Scenario, client, server)
}

// judgeUnattested compares the claims of two ends of which one does not know the
// profile, nor what its binders are made of.
func judgeUnattested(s scenario.Scenario, client, server claims.Claims) error {
	s.Attester = scenario.AttestNone
	client.TranscriptHash, server.TranscriptHash = "", ""
	return judgeSound(&s, &client, &server)
}

// judgeRejection wants the alert that the fault calls for, where the text names
// one. An end that may go without the check has to go on then as if nothing were
// wrong.
func judgeRejection(f *cases.Case, s *scenario.Scenario, client, server *claims.Claims) error {
	mine, theirs := client, server
	if f.Receiver() == attls.RoleServer {
		mine, theirs = server, client
	}
	alert := alertOf(mine, theirs)
	switch {
	case !rejected(mine, theirs):
		if f.MayPass {
			return judgeSound(s, client, server)
		}
		return fmt.Errorf("the %s did not reject: %s", f.Rejects, f.Does)
	case f.Alert == nil:
		return nil
	case alert == nil:
		return fmt.Errorf("the %s sent no alert, not %s: %s", f.Rejects, f.Alert.Name, detail(mine))
	case !f.AnyAlert && alert.Code != f.Alert.Code:
		return fmt.Errorf("the %s sent %s, not %s: %s", f.Rejects, alert.Name, f.Alert.Name, detail(mine))
	}
	return nil
}

// alertOf is the alert with which an end rejected, by its own claims or, where
// these do not say, by those of the end that received it; nil: none. Alerts that close are
// none (RFC 8446 section 6.1): some stacks send user_canceled before close_notify.
func alertOf(mine, theirs *claims.Claims) *claims.AlertClaim {
	for _, a := range []*claims.AlertClaim{mine.AlertSent, theirs.AlertReceived} {
		if a != nil && a.Code != uint8(attls.AlertCloseNotify) && a.Code != uint8(attls.AlertUserCanceled) {
			return a
		}
	}
	return nil
}

// rejected reports whether an end broke the connection off of itself. One that
// received an alert took what it was sent, and the other gave up.
func rejected(mine, theirs *claims.Claims) bool {
	failed := mine.Error != nil && mine.Error.Class != attls.FromPeer.String() && mine.AlertReceived == nil
	return failed || alertOf(mine, theirs) != nil
}

func detail(c *claims.Claims) string {
	if c.Error == nil {
		return "it says nothing"
	}
	return fmt.Sprintf("%s (%s)", c.Error.Detail, c.Error.Failure)
}
