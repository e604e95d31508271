// Package cli holds what the command families of lintel share: usage errors
// and exit statuses, checks of arguments, terminals, progress bars, JSON
// output and the service manager.
//
// Each family is a package of its own below this one and exports New, which
// returns its command: cachecli (lintel cache), servercli (lintel memcached),
// zmqcli (lintel zmq), feedcli (lintel feed), perfcli (lintel perf) and democli
// (lintel demo). Package rootcli adds them to the root command and turns the error
// of a command into an exit status with [Status]. Commands return errors; they never
// call os.Exit. Commands that serve log with package logging.
package cli
