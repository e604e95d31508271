package servercli

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"lintel.dev/internal/cli"
)

// flagValue is a flag of the table as pflag needs it: Set applies it to the
// settings.
type flagValue struct {
	settings *serverSettings
	flag     *serverFlag
	given    bool
	ignored  bool // checked, and then not applied
}

// noValue is what pflag passes to Set for a flag that takes no value.
const noValue = "\x00"

func (v *flagValue) Set(text string) error {
	if v.flag.arg == "" && text != noValue {
		return cli.Usagef("%s takes no value", v.flag.typed())
	}
	v.given = true
	if v.ignored {
		return v.flag.set(newSettings(), text)
	}
	v.settings.given = append(v.settings.given, givenFlag{v.flag, text})
	return v.flag.set(v.settings, text)
}

// String returns whether a flag without a value was given: cobra reads that of
// --help.
func (v *flagValue) String() string {
	if v.flag.arg == "" {
		return strconv.FormatBool(v.given)
	}
	return ""
}

// Type is the argument's name, bool for none.
func (v *flagValue) Type() string {
	if v.flag.arg == "" {
		return "bool"
	}
	return v.flag.arg
}

// typed returns the flag as most users type it.
func (f *serverFlag) typed() string {
	if f.short != 0 {
		return "-" + string(rune(f.short))
	}
	return "--" + f.long
}

// addFlags adds memcached's flags, and ours, to fs. Parsing applies them to s
// in the order of the command line. A long name may be abbreviated as with
// getopt_long, as long as it is not ambiguous.
func (s *serverSettings) addFlags(fs *pflag.FlagSet) {
	for i := range serverFlags {
		f := &serverFlags[i]
		short := ""
		if f.short != 0 {
			short = string(rune(f.short))
		}
		added := fs.VarPF(&flagValue{settings: s, flag: f}, f.long, short, f.help)
		if f.arg == "" {
			added.NoOptDefVal = noValue
		}
	}
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if found := longFlags(name); len(found) == 1 {
			name = found[0]
		}
		return pflag.NormalizedName(name)
	})
}

// longFlags returns the long flags that name may stand for: the one of that
// name, or those that begin with it.
func longFlags(name string) []string {
	var found []string
	for i := range serverFlags {
		switch long := serverFlags[i].long; {
		case long == name:
			return []string{name}
		case strings.HasPrefix(long, name):
			found = append(found, long)
		}
	}
	return found
}

// flagError returns a usage error for what pflag returned.
func flagError(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return e.Unwrap() // Set has made it
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		f := e.GetFlag().Value.(*flagValue).flag
		name := "--" + f.long
		if e.GetSpecifiedShortnames() != "" {
			name = f.typed()
		}
		return cli.Usagef("%s needs a value: <%s>", name, f.arg)
	}
	e, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return cli.Usagef("%w, see -h", err)
	}
	name := e.GetSpecifiedName()
	if e.GetSpecifiedShortnames() != "" {
		return cli.Usagef("unknown flag -%s, see -h", name)
	}
	switch found := longFlags(name); {
	case len(found) > 1 && name != "":
		slices.Sort(found)
		return cli.Usagef("--%s is ambiguous: --%s", name, strings.Join(found, ", --"))
	default:
		return cli.Usagef("unknown flag --%s%s, see -h", name, cli.DidYouMean(name, "--", longFlags("")))
	}
}
