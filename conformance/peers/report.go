package peers

import (
	"attls/conformance/report"
)

// Report takes results into a report. grid is the list of cases of which they are
// the results or a part.
func Report(title string, grid []Case, results []Result) *report.Report {
	numbers := map[string]int{}
	for i := range grid {
		numbers[grid[i].String()] = i + 1
	}
	out := report.New(title)
	for i := range results {
		r := &results[i]
		run := report.Run{ID: r.String(), Number: numbers[r.String()], Client: r.Client, Server: r.Server,
			Scenario: r.Scenario, Outcome: report.Outcome(r.Status), Reason: r.Reason,
			Places: r.Places,
			Ladder: r.Ladder, Findings: r.Findings, Capture: r.Capture, Seconds: r.Seconds}
		if len(r.Ends) == len(roles) {
			run.ClientClaims, run.ServerClaims = &r.Ends[0], &r.Ends[1]
			run.Earlier = r.Earlier
		}
		if r.Scenario.Injected() != "" {
			run.Fault, _ = findFault(&r.Scenario) // Run has found it
		}
		out.Runs = append(out.Runs, run)
	}
	return out
}
