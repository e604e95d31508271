package cli

import "runtime/debug"

// Version returns the version of the program. It is linked, which the linker sets
// in the builds of the Makefile and of releases, or else what go build and go install
// record: the version of the module, or one made of the commit and its time. It is
// "devel" if the program was built outside of a repository.
func Version(linked string) string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(linked, info)
}

func versionOf(linked string, info *debug.BuildInfo) string {
	switch {
	case linked != "":
		return linked
	case info != nil && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	return "devel"
}
