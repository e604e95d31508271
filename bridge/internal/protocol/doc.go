// Package protocol encodes and parses the messages between the bridge and its
// producers and workers. docs/bridge.md specifies them.
//
// A message comes from a ROUTER: routing id, envelope, an empty frame, content.
// The envelope of a DEALER is empty. That of a REQ may hold its request id
// (option req_correlate), and the ids of proxies on the way.
//
//	producers  REQ     body...                    -> OK seq | DUP seq | NO reason
//	                   ID id body...
//	           DEALER  PUT id body...             -> OK id seq | DUP id seq | NO id reason
//	workers    REQ     NEXT                       -> token n body...
//	                   ACK token [sync]           -> as NEXT | OK token | NO token reason
//	                   NAK token [delay]
//	                   TERM token [reason]
//	                   PROG token                 -> OK token | NO token reason
//	           DEALER  READY credit               -> token n body..., one for each unit of credit
//	                   ACK, NAK, TERM, PROG       -> OK token (sync only) | NO token reason
//
// Numbers are decimal digits. All functions work on octets: they do no I/O, keep
// no state, and hold no lock. The slices of a result are those of the message.
package protocol
