package memcache

// RaceEnabled tells the tests outside the package.
const RaceEnabled = raceEnabled
