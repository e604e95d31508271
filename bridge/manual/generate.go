package main

import (
	"bytes"
	"io"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"lintel.dev/bridge/internal/bridgecli"
	"lintel.dev/internal/cli/rootcli"
)

// folders are those of the generated files, which hold nothing else.
var folders = []string{"man", "completions"}

// generate returns the files of both programs by their paths.
func generate() (map[string][]byte, error) {
	all := make(map[string][]byte)
	for _, program := range []func() *cobra.Command{
		func() *cobra.Command { return rootcli.New("") },
		func() *cobra.Command { return bridgecli.New(bridgecli.Program{}) },
	} {
		if err := completions(all, program()); err != nil {
			return nil, err
		}
		root := program()
		name := root.Name()
		prepare(root, make(map[*pflag.Flag]bool))
		if err := pages(all, path.Join("man", name), root); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// completions adds the completions of a program. They ask the program for words, so
// they change only with cobra.
func completions(all map[string][]byte, root *cobra.Command) error {
	name := root.Name()
	for file, write := range map[string]func(io.Writer) error{
		"bash/" + name:           func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh/_" + name:           root.GenZshCompletion,
		"fish/" + name + ".fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			return err
		}
		all["completions/"+file] = text.Bytes()
	}
	return nil
}

// pages adds the page of cmd and those of its subcommands.
func pages(all map[string][]byte, dir string, cmd *cobra.Command) error {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			if err := pages(all, dir, sub); err != nil {
				return err
			}
		}
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	var page bytes.Buffer
	// A date would change the pages without a change of the commands.
	header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Date: new(time.Time), Source: "Lintel", Manual: "Lintel"}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return err
	}
	all[path.Join(dir, name+".1")] = finish(page.Bytes())
	return nil
}

// prepare changes the texts of cmd and its subcommands, which are plain, to the
// Markdown that package doc expects, and hides what needs no page. done has the flags
// that are changed already: subcommands share those of their parents.
func prepare(cmd *cobra.Command, done map[*pflag.Flag]bool) {
	cmd.DisableAutoGenTag = true
	cmd.Hidden = cmd.Hidden || cmd.Name() == "completion"
	cmd.Short, cmd.Long = escape(cmd.Short), paragraphs(cmd.Long)
	cmd.InitDefaultHelpFlag()
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if done[f] {
			return
		}
		done[f] = true
		if f.NoOptDefVal != "" {
			f.Usage = escape(f.Usage)
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		if value := f.DefValue; value != "" && value != "0" && value != "0s" && value != "[]" && !strings.Contains(usage, "default") {
			usage += " (default " + value + ")"
		}
		f.Usage, f.DefValue, f.Value = escape(usage), escape(name), named{f.Value}
	})
	for _, sub := range cmd.Commands() {
		prepare(sub, done)
	}
}

// named is a value that package doc prints without quotes.
type named struct{ pflag.Value }

func (named) Type() string { return "" }

// special are the characters of Markdown.
var special = regexp.MustCompile("[\\\\`*_<>\\[\\]]")

// escape returns plain text as Markdown.
func escape(text string) string { return special.ReplaceAllString(text, `\$0`) }

// paragraphs returns text as Markdown. Lines that are indented keep their form.
func paragraphs(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if indented := strings.HasPrefix(line, "  "); indented != fenced && line != "\n" {
			b.WriteString("```\n")
			fenced = indented
		}
		if !fenced {
			line = escape(line)
		}
		b.WriteString(line)
	}
	if fenced {
		b.WriteString("\n```\n")
	}
	return b.String()
}

var (
	noValue = regexp.MustCompile(`(?m)\\fP\[=[^\]]*\]$`)
	option  = regexp.MustCompile(`(?:\.PP\n)?(\\fB-[^\n]*\n)\t`)
)

// finish corrects what package doc prints: the date, the values of flags that take
// none, and the form of the options, which become tagged paragraphs.
func finish(page []byte) []byte {
	page = bytes.Replace(page, []byte(`"Jan 0001"`), []byte(`""`), 1)
	page = noValue.ReplaceAll(page, []byte(`\fP`))
	return option.ReplaceAll(page, []byte(".TP\n$1"))
}
