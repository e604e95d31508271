package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// conversation sends lines, and quit, to a cache at host:port or at a unix
// socket, and returns all that it says.
func conversation(addr string, lines []string) (string, error) {
	network := "tcp"
	if strings.ContainsRune(addr, os.PathSeparator) {
		network = "unix"
	}
	c, err := net.DialTimeout(network, addr, readyIn)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(readyIn)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\nquit\r\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return strings.ReplaceAll(string(b), "\r\n", "\n"), err
}

func cmdAsk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ask ADDR LINE...")
	}
	answer, err := conversation(args[0], args[1:])
	ts.Check(err)
	io.WriteString(ts.Stdout(), answer)
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: await REGEXP ADDR LINE...")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for giveUp := time.Now().Add(readyIn); ; <-again.C {
		answer, err := conversation(args[1], args[2:])
		ts.Check(err)
		if re.MatchString(answer) {
			io.WriteString(ts.Stdout(), answer)
			return
		}
		if time.Now().After(giveUp) {
			ts.Fatalf("%s never answered %q but\n%s", args[1], args[0], answer)
		}
	}
}

func cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetch STATUS URL")
	}
	client := &http.Client{Timeout: readyIn, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(args[1])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("%s: status %s, want %s\n%s", args[1], got, args[0], body)
	}
	ts.Stdout().Write(body)
}

func cmdCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: certificate NAME")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: args[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}
