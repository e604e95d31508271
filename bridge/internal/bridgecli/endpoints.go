package bridgecli

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
)

// freePort is the endpoint of a TYPE without one.
const freePort = "tcp://127.0.0.1:*"

// endpoints parses the values of --in or --out: TYPE or TYPE=ENDPOINT, several
// separated by commas. types are the socket types of the peers that may connect.
func endpoints(flag string, values []string, types ...string) (map[string][]string, error) {
	all := make(map[string][]string)
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			typ, endpoint, given := strings.Cut(one, "=")
			switch {
			case !given && slices.Contains(types, typ):
				endpoint = freePort
			case endpoint == "":
				return nil, cli.Usagef("--%s: %q, expected TYPE=ENDPOINT, such as %s=tcp://*:5601", flag, one, types[0])
			case !slices.Contains(types, typ):
				return nil, cli.Usagef("--%s: %q is none of %s, the socket types of the peers", flag, typ, strings.Join(types, ", "))
			}
			all[typ] = append(all[typ], endpoint)
		}
	}
	return all, nil
}

// logEndpoints logs the addresses of each direction.
func logEndpoints(log *slog.Logger, all map[string][]string) {
	for _, what := range slices.Sorted(maps.Keys(all)) {
		log.Info("bound "+what, "endpoints", logging.List(all[what]))
	}
}
