package testservers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// An Authority certifies servers, and puts TLS before those that have none. Its certificates are for the name
// localhost, so that a client who asks for 127.0.0.1 finds itself at the wrong place.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

// NewAuthority makes an authority that nobody knows yet. Its file is deleted when t ends.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of " + t.Name()}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, key, err := certify(template, nil, nil)
	if err == nil {
		a.key = key
		a.certificate, err = x509.ParseCertificate(der)
	}
	if err == nil {
		err = os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatalf("testservers: authority: %v", err)
	}
	return a
}

// certify signs template for a new key. Without a parent it is signed by that key itself.
func certify(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	return der, key, err
}

// File is the authority's own certificate, in PEM: what its clients must be given.
func (a *Authority) File() string { return a.file }

// AMQP returns the amqps:// URL of the virtual host at amqpURL behind TLS, until t ends.
func (a *Authority) AMQP(t testing.TB, amqpURL string) string {
	t.Helper()
	u := a.front(t, amqpURL, func(net.Conn) error { return nil })
	u.Scheme = "amqps"
	return u.String()
}

// Database returns the URL of the database at databaseURL behind TLS, until t ends. The query says nothing about TLS.
func (a *Authority) Database(t testing.TB, databaseURL string) string {
	t.Helper()
	u := a.front(t, databaseURL, func(c net.Conn) error {
		// Postgres's clients ask for TLS first, in eight bytes; S means yes.
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
			return err
		}
		_, err := c.Write([]byte("S"))
		return err
	})
	u.RawQuery = ""
	return u.String()
}

// front accepts connections, greets in plain text, and passes on what comes through TLS to the server at address.
func (a *Authority) front(t testing.TB, address string, greet func(net.Conn) error) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("testservers: not a URL")
	}
	der, key, err := certify(&x509.Certificate{
		DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.certificate, a.key)
	if err != nil {
		t.Fatalf("testservers: certificate: %v", err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testservers: %v", err)
	}
	target := u.Host
	ctx, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		end()
		_ = listener.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = client.Close() })()
				defer client.Close()
				if greet(client) == nil {
					passOn(ctx, tls.Server(client, cfg), target)
				}
			})
		}
	})
	u.Host = fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	return u
}

// passOn copies in both directions until one side has had enough.
func passOn(ctx context.Context, client *tls.Conn, target string) {
	if client.HandshakeContext(ctx) != nil {
		return // the client has its reasons, and knows them
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	for to, from := range map[net.Conn]net.Conn{client: server, server: client} {
		both.Go(func() {
			_, _ = io.Copy(to, from)
			_ = client.Close()
			_ = server.Close()
		})
	}
	both.Wait()
}
