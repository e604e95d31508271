package memcache

// RaceEnabled tells the tests outside the package.
const RaceEnabled = raceEnabled

// DefaultTimeout is what users have; tests on sockets do not.
var DefaultTimeout = defaultTimeout
