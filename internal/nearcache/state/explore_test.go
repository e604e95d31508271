package state

import (
	"testing"
)

// The scenarios. Together they contain every action.
var (
	fences     = scenario{keys: 1, callers: 1, writes: 2, ticks: 2, depth: 12, allowed: "tpdasArey"}
	losses     = scenario{keys: 1, callers: 1, writes: 1, ticks: 2, depth: 13, allowed: "tplhdasArey"}
	twoCallers = scenario{keys: 1, callers: 2, writes: 2, ticks: 0, depth: 11, allowed: "pdlrweyz"}
	deletions  = scenario{keys: 1, callers: 1, writes: 2, ticks: 2, depth: 12, allowed: "tpxvdasAreyu"}
	collision  = scenario{keys: 2, callers: 1, writes: 2, ticks: 2, depth: 12, allowed: "tpdasArqey"}
	crowd      = scenario{keys: 2, callers: 2, writes: 2, ticks: 0, depth: 9, allowed: "pdrqweyz"}
	halfOpen   = scenario{keys: 1, callers: 1, writes: 1, ticks: 2, depth: 12, allowed: "tphdcCasArey"}
	restarts   = scenario{keys: 1, callers: 1, writes: 1, ticks: 2, depth: 9, allowed: "tpfRdhasArey"}
)

// TestAllInterleavings tries every order of events of the scenarios.
func TestAllInterleavings(t *testing.T) {
	all := 0
	for _, c := range []struct {
		name string
		scenario
	}{
		{"fences", fences},
		{"losses", losses},
		{"two callers", twoCallers},
		{"deletes, evictions", deletions},
		{"collision of two keys", collision},
		{"two callers, two keys", crowd},
		{"half-open feed", halfOpen},
		{"restart and flush", restarts},
	} {
		t.Run(c.name, func(t *testing.T) {
			if raceEnabled { // nothing runs concurrently here, and everything is slow
				c.depth -= 3
			}
			states, edges, fault := explore(&c.scenario)
			t.Logf("%d states, %d transitions, depth %d", states, edges, c.depth)
			if fault != "" {
				t.Error(fault)
			}
			all += states
		})
	}
	t.Logf("%d states", all)
}

// TestMutants switches one rule off at a time. The exploration finds a fault.
func TestMutants(t *testing.T) {
	if raceEnabled {
		t.Skip("nothing runs concurrently here, and everything is slow")
	}
	for _, c := range []struct {
		name string
		scenario
		client Mutants
		server serverMutants
	}{
		{name: "no token", scenario: twoCallers, client: Mutants{NoToken: true}},
		{name: "no generation in the token", scenario: losses, client: Mutants{NoGen: true}},
		{name: "no writing", scenario: twoCallers, client: Mutants{NoWriting: true}},
		{name: "fresh by arrival", scenario: losses, client: Mutants{ArrivalFresh: true}},
		{name: "publish before apply", scenario: deletions, server: serverMutants{publishFirst: true}},
		{name: "frozen without subscribers", scenario: halfOpen, server: serverMutants{frozen: true}},
		{name: "numbered for each key", scenario: collision, server: serverMutants{perKey: true}},
		{name: "add not published", scenario: deletions, server: serverMutants{addSilent: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc := c.scenario
			sc.depth = 13
			sc.mutants, sc.server = c.client, c.server
			states, _, fault := explore(&sc)
			if fault == "" {
				t.Fatalf("not noticed in %d states", states)
			}
			t.Logf("after %d states: %s", states, fault)
		})
	}
}
