package peers

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
)

// kept says why a client has no session for the next connection.
func (t *Task) kept(c *claims.Claims) error {
	if _, err := os.Stat(t.session()); err == nil {
		return nil
	}
	if c.Error != nil {
		return fmt.Errorf("the first connection failed: %s (%s)", or(c.Error.Detail, "no detail"), c.Error.Failure)
	}
	return errors.New("no ticket has come")
}

// judge compares what both ends claim of every connection of a case. earlier is
// empty without resumption.
func judge(c *Case, earlier, ends []claims.Claims) error {
	full := *c
	full.Scenario.Resumption = ""
	first := full
	first.Scenario.EarlyData = false // there is no session yet
	if c.Scenario.Resumption == scenario.ResumeUnattested {
		first.Scenario = unattested(first.Scenario)
		earlier = slices.Clone(earlier)
		earlier[attls.RoleServer].TranscriptHash = "" // which a client of plain TLS does not claim
	}
	if len(earlier) == 0 {
		return Judge(&full, &ends[attls.RoleClient], &ends[attls.RoleServer])
	}
	first.Scenario.Fail, first.Scenario.Tolerate = "", ""           // a fault is in the second one
	if _, told := claimSent.of(&earlier[attls.RoleClient]); !told { // it may have sent nothing to get a ticket
		earlier = slices.Clone(earlier)
		server := &earlier[attls.RoleServer]
		server.Unclaimed = append(slices.Clone(server.Unclaimed), claimSent.member, claimReceived.member)
	}
	if err := Judge(&first, &earlier[attls.RoleClient], &earlier[attls.RoleServer]); err != nil {
		return fmt.Errorf("the first connection: %w", err)
	}
	switch r := c.Scenario.Resumption; {
	case c.Scenario.Fail != "":
	case r == scenario.ResumeWithDHE, r == scenario.ResumePSKOnly:
		return judgeResumed(c, earlier, ends)
	}
	return Judge(&full, &ends[attls.RoleClient], &ends[attls.RoleServer])
}

// unattested is a scenario of a client that knows of no attestation.
func unattested(s scenario.Scenario) scenario.Scenario {
	s.Profile, s.Attester, s.Model, s.Credential = "", scenario.AttestNone, "", ""
	return s
}

// judgeResumed: with a pre-shared key nobody shows a certificate, hence nothing
// is attested, and each end knows of the other what the session keeps.
func judgeResumed(c *Case, earlier, ends []claims.Claims) error {
	var wrong differences
	var rest [2]claims.Claims
	for _, role := range roles {
		before, now := &earlier[role], ends[role]
		if now.PeerKey != "" {
			wrong.wanted("key that the session of the "+role.String()+" keeps", before.PeerKey, now.PeerKey)
		}
		if !attestsLater(&c.Scenario) { // then it is attested again, and the session keeps nothing
			wrong.keeps(role, before, &now)
		}
		now.PeerKey, now.PeerType, now.PeerSignature = "", "", "" // which the peer does not say
		rest[role] = now
	}
	channel := *c
	s := &channel.Scenario
	if !attestsLater(s) {
		s.Attester = scenario.AttestNone
	}
	if s.Resumption == scenario.ResumePSKOnly { // no share is asked for
		s.Group, s.HelloRetry = "", false
	}
	if err := Judge(&channel, &rest[attls.RoleClient], &rest[attls.RoleServer]); err != nil {
		wrong.add("%v", err)
	}
	return wrong.err()
}

// keeps compares the attestation that a session keeps with that of the earlier
// connection.
func (d *differences) keeps(role attls.Role, before, now *claims.Claims) {
	was, is := claimOf(before, role.Peer()), now.ResumedAttestation
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.add("the session of the %v keeps an attestation that there was not", role)
	case is == nil:
		d.add("the session of the %v keeps no attestation", role)
	default:
		for _, f := range []struct{ what, want, got string }{
			{"attester", was.Attester, is.Attester},
			{"profile", before.Profile, is.Profile},
			{"model", was.Model, is.Model},
			{"credential", was.Credential, is.Credential},
			{"scheme", was.Scheme, is.Scheme},
			{"status", was.Verdict.Status, is.Status},
			{"end of validity", was.Verdict.ValidUntil, is.ValidUntil},
		} {
			if f.want != f.got {
				d.add("the session of the %v keeps %s %q, it was %q", role, f.what, f.got, f.want)
			}
		}
	}
}
