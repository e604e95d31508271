// Package logging makes the log of the commands that serve: one record a line on
// standard error, as text or as JSON.
//
// The text format is for people and for scripts that wait for a line:
//
//	2026-11-28T12:00:00.000+01:00 INFO memcached listens on 127.0.0.1:11211
//	2026-11-28T12:00:07.312+01:00 ERROR certificates are not read again error="open tls.pem: permission denied"
//
// It is the time, the level, the message and the attributes. An attribute of type
// [List] ends the sentence of the message and has no name in text. If standard error
// is a stream to systemd's journal, a line begins with the priority of the level
// (<6>) in place of time and level, which the journal has itself.
//
// The JSON format is that of slog.JSONHandler: time, level, msg and the attributes.
//
// Errors in the command line are no records. The program prints them as plain lines
// in both formats.
package logging
