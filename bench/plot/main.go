// Command plot draws the pictures of the documentation as SVG, readable on a
// light and on a dark page.
//
//	go run ./plot bars ../docs/benchmarks > ../docs/images/performance.svg
//	lintel demo squares | go run ./plot terminal 'lintel demo squares' > ../docs/images/demo.svg
//
// bars reads the recorded results (*.tsv) and draws how many times as fast, or
// as dense, Lintel is as the named peer. terminal draws its standard input as
// the output of a command.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 2 {
		switch args[0] {
		case "bars":
			return bars(out, args[1])
		case "terminal":
			return terminal(out, args[1], in)
		}
	}
	return errors.New("usage: plot bars DIR, or plot terminal COMMAND < OUTPUT")
}

// style gives the elements of a picture a colour for a light page and another
// for a dark one.
const style = `<style>
text{font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:13px;fill:#1f2328}
.head{font-weight:600;font-size:14px}.dim{fill:#59636e}.end{text-anchor:end}.mid{text-anchor:middle}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px;white-space:pre}
.bar{fill:#0969da}.more{opacity:.55}.peer{stroke:#59636e;stroke-width:1.5}.grid{stroke:#d1d9e0;stroke-width:1}
.frame{fill:#f6f8fa;stroke:#d1d9e0}.prompt{fill:#0969da;font-weight:600}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.dim{fill:#9198a1}.bar{fill:#4493f8}.peer{stroke:#9198a1}.grid{stroke:#3d444d}
.frame{fill:#151b23;stroke:#3d444d}.prompt{fill:#4493f8}}
</style>
`

// open begins a picture of that size, described by title for screen readers.
func open(out io.Writer, width, height int, title string) {
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n<title>%s</title>\n",
		width, height, width, height, escape(title))
	io.WriteString(out, style)
}
