package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile"
)

// TestProfilesInDocument: docs/conform.md says which profiles run against mbedTLS, and the peer says the same.
func TestProfilesInDocument(t *testing.T) {
	blob, err := os.ReadFile("../../docs/conform.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(blob), "## Which profiles meet mbedTLS")
	var runs, limits string
	for _, line := range strings.Split(table, "\n") {
		if strings.HasPrefix(line, "| runs") {
			runs += line
		}
		if strings.HasPrefix(line, "| peer limit") {
			limits += line
		}
	}
	interpreter := NewInterpreter(MbedTLS{Path: FindMbedTLS()})
	missing := interpreter.Missing() != ""
	files, err := filepath.Glob(changedDrafts + "*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range append(profile.Names(), files...) {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Contains(runs, "`"+p.ID+"`")
		if !said && !strings.Contains(limits, "`"+p.ID+"`") {
			t.Errorf("the table lacks %s", p.ID)
		}
		combinations, err := allowed([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		for i := range combinations {
			if reason := interpreter.Limit(&combinations[i].Scenario, attls.RoleClient); !missing && (reason == "") != said {
				t.Errorf("%s: that it runs is in the table: %v; the peer says %q", p.ID, said, reason)
			}
		}
	}
}
