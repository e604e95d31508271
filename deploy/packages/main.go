// Command packages builds deb and rpm packages that .goreleaser.yaml describes,
// without goreleaser, from programs that are built already. Its arguments are the
// ids of the packages. `make packages` runs it in the folder deploy/.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // the formats of .goreleaser.yaml
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "the root of the repository")
	flag.StringVar(&o.programs, "programs", "..", "the folder of the programs, built for Linux")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "the architecture they were built for, by Go's name")
	flag.StringVar(&o.version, "version", "devel", "the version; without a number it is a pre-release of 0.0.0")
	flag.StringVar(&o.out, "out", "../dist", "the folder of the packages")
	flag.Parse()
	paths, err := o.build(flag.Args())
	for _, path := range paths {
		fmt.Println(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

// options are what the flags set.
type options struct{ root, programs, arch, version, out string }

// build writes the packages in all of their formats and returns their paths.
func (o options) build(ids []string) ([]string, error) {
	project, err := config.Load(filepath.Join(o.root, ".goreleaser.yaml"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return nil, err
	}
	var paths []string
	for _, id := range ids {
		at := slices.IndexFunc(project.NFPMs, func(n config.NFPM) bool { return n.ID == id })
		if at < 0 {
			return paths, fmt.Errorf("%s: no such package in .goreleaser.yaml", id)
		}
		n := project.NFPMs[at]
		for _, format := range n.Formats {
			path, err := o.write(project.Builds, n, format)
			if err != nil {
				return paths, fmt.Errorf("%s, %s: %w", id, format, err)
			}
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// write writes one package and returns its path.
func (o options) write(builds []config.Build, n config.NFPM, format string) (path string, err error) {
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	info := nfpm.WithDefaults(o.info(builds, n, format))
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return "", err
	}
	path = filepath.Join(o.out, packager.ConventionalFileName(info))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(path)
		}
	}()
	return path, packager.Package(info, f)
}

var numbered = regexp.MustCompile(`^[0-9]+\.`)

// info translates goreleaser's description of a package to nfpm's, as goreleaser
// does: what overrides names for the format replaces the general setting.
func (o options) info(builds []config.Build, n config.NFPM, format string) *nfpm.Info {
	var contents files.Contents
	for _, c := range n.Contents {
		source := c.Source
		if c.Type != files.TypeSymlink {
			source = o.path(source)
		}
		contents = append(contents, &files.Content{Source: source, Destination: c.Destination, Type: c.Type, Packager: c.Packager})
	}
	for _, b := range builds {
		if n.Meta || !slices.Contains(n.IDs, b.ID) {
			continue
		}
		contents = append(contents, &files.Content{
			Source: filepath.Join(o.programs, b.Binary), Destination: "/usr/bin/" + b.Binary,
			FileInfo: &files.ContentFileInfo{Mode: 0o755},
		})
	}
	version := strings.TrimPrefix(o.version, "v")
	if !numbered.MatchString(version) {
		version = "0.0.0-" + version
	}
	special, scripts := n.Overrides[format], n.Scripts
	if special.Scripts != (config.NFPMScripts{}) {
		scripts = special.Scripts
	}
	return &nfpm.Info{
		Name: n.PackageName, Version: version, Arch: o.arch, Platform: "linux", Section: n.Section,
		Maintainer: n.Maintainer, Description: n.Description, Homepage: n.Homepage, License: n.License,
		Overridables: nfpm.Overridables{
			Contents: contents, Umask: n.Umask,
			Depends:    either(special.Dependencies, n.Dependencies),
			Recommends: either(special.Recommends, n.Recommends),
			Provides:   either(special.Provides, n.Provides),
			Conflicts:  either(special.Conflicts, n.Conflicts),
			Scripts: nfpm.Scripts{
				PreInstall: o.path(scripts.PreInstall), PostInstall: o.path(scripts.PostInstall),
				PreRemove: o.path(scripts.PreRemove), PostRemove: o.path(scripts.PostRemove),
			},
		},
	}
}

// path returns a path of .goreleaser.yaml from here; an empty one stays empty.
func (o options) path(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Join(o.root, path)
}

// either returns the first list that is not empty.
func either(special, general []string) []string {
	if len(special) > 0 {
		return special
	}
	return general
}
