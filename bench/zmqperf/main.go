// Command zmqperf measures our sockets beside libzmq's: lintel perf on one
// side, a small C program on libzmq on the other, the same arguments, turn and
// turn about, medians. It prints one table with the target of each row.
//
//	go run . [-rounds 5] [-scale 1] [-rows REGEXP] [-cross]
//
// It needs a C compiler and libzmq's headers: apt-get install gcc libzmq3-dev.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

//go:embed peer/peer.c
var peerSource []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "ours" {
		if err := ours(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "zmqperf:", err)
			os.Exit(1)
		}
		return
	}
	rounds := flag.Int("rounds", 5, "measurements of each side, of which the median counts")
	scale := flag.Float64("scale", 1, "multiplies the messages of each measurement")
	only := flag.String("rows", "", "regular expression of the rows to measure")
	cross := flag.Bool("cross", false, "throughput also from each side to the other")
	flag.Parse()
	re, err := regexp.Compile(*only)
	if err == nil && (flag.NArg() > 0 || *rounds < 1 || *scale <= 0) {
		err = fmt.Errorf("unexpected arguments, see -help")
	}
	if err == nil {
		err = table(ctx, *rounds, *scale, re, *cross)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "zmqperf:", err)
		os.Exit(1)
	}
}

// build makes the programs of both sides in dir.
func build(ctx context.Context, dir string) (programs, error) {
	p := programs{dir: dir, lintel: filepath.Join(dir, "lintel"), peer: filepath.Join(dir, "peer")}
	var err error
	if p.self, err = os.Executable(); err != nil {
		return p, err
	}
	source := filepath.Join(dir, "peer.c")
	if err := os.WriteFile(source, peerSource, 0o600); err != nil {
		return p, err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "lintel.dev").Output()
	if err != nil {
		return p, fmt.Errorf("where is lintel.dev? run this in its folder: %w", err)
	}
	compile := exec.CommandContext(ctx, "go", "build", "-o", p.lintel, "./cmd/lintel")
	compile.Dir = strings.TrimSpace(string(root))
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return p, fmt.Errorf("go build: %w\n%s", err, out)
	}
	if out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", p.peer, source, "-lzmq", "-lpthread").CombinedOutput(); err != nil {
		return p, fmt.Errorf("cc: %w; gcc and libzmq3-dev are needed\n%s", err, out)
	}
	return p, nil
}

func table(ctx context.Context, rounds int, scale float64, only *regexp.Regexp, cross bool) error {
	dir, err := os.MkdirTemp("", "zmqperf")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s, %d CPUs, %s, %d rounds, %s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), rounds, time.Now().UTC().Format("2006-01-02"))
	fmt.Printf("%-34s %14s %14s %8s %9s\n", "measure", "ours", "libzmq", "ratio", "target")
	for _, r := range rows(scale) {
		if !only.MatchString(r.name) {
			continue
		}
		if err := r.print(ctx, p, rounds, cross); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// print measures one row and prints its lines.
func (r row) print(ctx context.Context, p programs, rounds int, cross bool) error {
	sides := [][2]side{{ourSide, ourSide}, {libzmq, libzmq}}
	if r.alone {
		sides = sides[:1]
	}
	if cross && r.cross {
		sides = append(sides, [2]side{ourSide, libzmq}, [2]side{libzmq, ourSide})
	}
	got := make([]map[string][]float64, len(sides))
	for i := range got {
		got[i] = map[string][]float64{}
	}
	bare := map[string][]float64{}
	for range rounds {
		for i, s := range sides {
			values, err := r.run(ctx, p, s[0], s[1])
			if err != nil {
				return err
			}
			for k, v := range values {
				got[i][k] = append(got[i][k], v)
			}
		}
		if r.bare != nil {
			values, err := r.bare(ctx, p)
			if err != nil {
				return err
			}
			for k, v := range values {
				bare[k] = append(bare[k], v)
			}
		}
	}
	for _, c := range r.columns {
		if r.alone {
			v := median(got[0][c.value])
			fmt.Printf("%-34s %14s %14s %8s <= %s%s\n", r.name+c.suffix, c.show(v), "-", "-", c.show(c.limit), missed(v > c.limit))
			continue
		}
		ours, theirs := median(got[0][c.value]), median(got[1][c.value])
		fmt.Printf("%-34s %14s %14s %s\n", r.name+c.suffix, c.show(ours), c.show(theirs), c.judge(ours, theirs))
		if len(sides) > 2 {
			for i, label := range []string{"  ours to libzmq", "  libzmq to ours"} {
				v := median(got[2+i][c.value])
				fmt.Printf("%-34s %14s %14s %s\n", label, c.show(v), c.show(theirs), column{target: 1, less: c.less}.verdict(v/theirs))
			}
		}
		if len(bare[c.value]) > 0 {
			v := median(bare[c.value])
			fmt.Printf("%-34s %14s %14s %s\n", "  beside a bare net.Conn", c.show(ours), c.show(v), column{target: r.bareTarget, less: c.less}.verdict(ours/v))
		}
	}
	return nil
}

// column is one figure of a row.
type column struct {
	value  string // its key among the figures that a measurement prints
	suffix string
	unit   string
	target float64 // of ours over libzmq's
	less   bool    // the less the better
	limit  float64 // of ours alone, instead of target
}

func (c column) judge(ours, theirs float64) string {
	if c.limit == 0 {
		return c.verdict(ours / theirs)
	}
	return fmt.Sprintf("%7.2fx <= %s%s", ours/theirs, c.show(c.limit), missed(ours > c.limit))
}

func missed(it bool) string {
	if it {
		return "  missed"
	}
	return ""
}

func (c column) show(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M%s", v/1e6, c.unit)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k%s", v/1e3, c.unit)
	}
	return fmt.Sprintf("%.4g %s", v, c.unit)
}

func (c column) verdict(ratio float64) string {
	if c.target == 0 {
		return fmt.Sprintf("%7.2fx", ratio)
	}
	sign, met := ">=", ratio >= c.target
	if c.less {
		sign, met = "<=", ratio <= c.target
	}
	return fmt.Sprintf("%7.2fx %s %.2f%s", ratio, sign, c.target, missed(!met))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
