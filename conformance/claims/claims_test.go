package claims

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestClaimsAreDocumented: docs/claims.md names every member that claims have.
func TestClaimsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/claims.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{Claims{}, AttestationClaim{}, ResumedClaim{}, VerdictClaim{}, AlertClaim{}, ErrorClaim{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			member, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(string(text), "`"+member+"`") && !strings.Contains(string(text), `"`+member+`"`) {
				t.Errorf("%s.%s is not described", typ.Name(), member)
			}
		}
	}
	if !strings.Contains(string(text), ClaimsSchema) {
		t.Errorf("%s is not named", ClaimsSchema)
	}
}
