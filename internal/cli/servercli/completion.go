package servercli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
)

// addCompletions completes the values of flags: file names where a flag takes a
// file, names where it takes one of several, options for -o, else nothing.
func (s *serverSettings) addCompletions(cmd *cobra.Command) {
	for i := range serverFlags {
		f := &serverFlags[i]
		complete := cobra.NoFileCompletions
		switch {
		case f.arg == "" || strings.HasPrefix(f.arg, "file"):
			continue // cobra's default: file names
		case f.long == "protocol":
			complete = cobra.FixedCompletions([]string{"ascii", "auto", "binary"}, cobra.ShellCompDirectiveNoFileComp)
		case f.long == "log-format":
			complete = cobra.FixedCompletions(logging.Formats, cobra.ShellCompDirectiveNoFileComp)
		case f.long == "log-level":
			complete = cobra.FixedCompletions(logging.Levels, cobra.ShellCompDirectiveNoFileComp)
		case f.long == "extended":
			complete = completeSuboptions
		}
		cli.Must(cmd.RegisterFlagCompletionFunc(f.long, complete))
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// completeSuboptions completes the last option of the value of -o.
func completeSuboptions(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var found []string
	for i := range suboptions {
		o := &suboptions[i]
		if !strings.HasPrefix(before+o.name, typed) || o.help == "" {
			continue
		}
		name := before + o.name
		if o.arg != "" && !o.loose {
			name += "="
		}
		found = append(found, name)
	}
	slices.Sort(found)
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
