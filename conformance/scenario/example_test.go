package scenario_test

import (
	"context"
	"fmt"

	"attls"
	"attls/conformance/cases"
	"attls/conformance/scenario"
)

// Run a connection in which the server attests, with a fault that the client
// must reject.
func ExampleRun() {
	s := scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer, Fail: "binder"}
	r := scenario.Run(context.Background(), s, scenario.Find(cases.Find))
	fmt.Println(r.Claims[attls.RoleClient].AlertSent.Name)
	fmt.Println("as expected:", r.Judge() == nil)
	// Output:
	// attestation_failed
	// as expected: true
}
