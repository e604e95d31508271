package democli

import (
	"os"

	"github.com/spf13/cobra"

	"lintel.dev/demo/shards"
	"lintel.dev/internal/cli"
)

func newDemoShards() (*cobra.Command, func(*cobra.Command) error) {
	cfg := shards.Defaults()
	var words string
	run := func(cmd *cobra.Command) error {
		cfg.Out, cfg.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
		switch words {
		case "":
		case "-":
			cfg.Words, cfg.Name = cmd.InOrStdin(), "standard input"
		default:
			err := cli.InputFile(words)
			if err != nil {
				return cli.Usagef("--words: %w: expected a list of words, one a line, or - for standard input", err)
			}
			f, err := os.Open(words)
			if err != nil {
				return cli.Usagef("--words: %w: expected a list of words, one a line, or - for standard input", err)
			}
			defer f.Close()
			cfg.Words, cfg.Name = f, words
		}
		return demoError(cmd.Context(), shards.Run(cmd.Context(), cfg))
	}
	cmd := &cobra.Command{
		Use:   "shards",
		Short: "Compare the ways to choose the server of a key",
		Long: `Store a list of words on a few cache servers, once for each of six ways to
choose the server of a word, and show the share of each server. Then let a
server join, or one leave, and count the words that are no longer found on the
server that is chosen for them.

  first letter   equal parts of the alphabet
  hash           FNV-1a, modulo the number of servers
  md5            MD5, modulo the number of servers
  ketama         a ring of points, as libmemcached places them
  rendezvous     the server with the highest score for the key
  jump           jump consistent hash, as in Grafana's programs`,
		Example: `  lintel demo shards
  lintel demo shards --words /usr/share/dict/words --servers 6
  cut -d: -f1 /etc/passwd | lintel demo shards --words -`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&words, "words", "", "`FILE` of words, one a line; -: standard input (default: English words)")
	f.IntVar(&cfg.Servers, "servers", cfg.Servers, "number of servers")
	f.BoolVar(&cfg.JSON, "json", false, "print one line of JSON instead of the table")
	cli.Must(cmd.RegisterFlagCompletionFunc("servers", cobra.NoFileCompletions))
	return cmd, run
}
