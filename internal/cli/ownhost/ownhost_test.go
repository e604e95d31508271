package ownhost

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIsOwnHost(t *testing.T) {
	for host, want := range map[string]bool{
		"":                       true, // HTTP/1.0
		"127.0.0.1:9150":         true,
		"192.0.2.7":              true,
		"[::1]:9150":             true,
		"[2001:db8::1]":          true,
		"[fe80::1%eth0]:9150":    true,
		"localhost:9150":         true,
		"LocalHost.":             true,
		"cache.localhost:9150":   true,
		"cache1.example:9150":    true,
		"Cache1.Example.:9150":   true,
		"cache1":                 true,
		"web7":                   true,
		"evil.example":           false,
		"evil.example:9150":      false,
		"cache1.evil.example":    false,
		"localhost.evil.example": false,
		"notlocalhost":           false,
		"127.0.0.1.evil.example": false,
		"evil.example:80:80":     false,
		"cache1.example@evil":    false,
		"[evil.example]":         false,
		"2130706433":             false, // a browser sends 127.0.0.1
	} {
		if got := isOwnHost(host, "cache1.example", "web7"); got != want {
			t.Errorf("isOwnHost(%q): got %v, expected %v", host, got, want)
		}
	}
	for _, host := range []string{"x", "."} {
		if got := isOwnHost(host, "", ""); got != (host == ".") {
			t.Errorf("isOwnHost(%q) without names: got %v", host, got)
		}
	}
}
