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

// An Authority is a certificate authority that adds TLS to servers without it. Its certificates are for the name
// localhost only, so that a client that connects to 127.0.0.1 must reject them.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

// NewAuthority returns a new authority, which no client trusts yet. Its file is deleted when t ends.
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

// certify issues a certificate from template for a new key. Without a parent it is self-signed.
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

// File returns the path of the authority's own certificate, in PEM, for clients to trust.
func (a *Authority) File() string { return a.file }

// AMQP returns the amqps:// URL of the virtual host at amqpURL behind TLS, until t ends.
func (a *Authority) AMQP(t testing.TB, amqpURL string) string {
	t.Helper()
	u := a.front(t, amqpURL, func(net.Conn) error { return nil })
	u.Scheme = "amqps"
	return u.String()
}

// Database returns the URL of the database at databaseURL behind TLS, until t ends. The URL has no query.
func (a *Authority) Database(t testing.TB, databaseURL string) string {
	t.Helper()
	u := a.front(t, databaseURL, func(c net.Conn) error {
		// A PostgreSQL client first requests TLS, in eight bytes. S grants it.
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
			return err
		}
		_, err := c.Write([]byte("S"))
		return err
	})
	u.RawQuery = ""
	return u.String()
}

// front listens for connections, calls greet on each before TLS, and forwards what follows to the server at address.
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
	var running sync.WaitGroup
	t.Cleanup(func() {
		end()
		_ = listener.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = client.Close() })()
				defer client.Close()
				if greet(client) == nil {
					forward(ctx, tls.Server(client, cfg), target)
				}
			})
		}
	})
	u.Host = fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	return u
}

// forward copies in both directions until one side closes its connection.
func forward(ctx context.Context, client *tls.Conn, target string) {
	if client.HandshakeContext(ctx) != nil {
		return // the client rejected the certificate, and has the reason
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	var copies sync.WaitGroup
	for to, from := range map[net.Conn]net.Conn{client: server, server: client} {
		copies.Go(func() {
			_, _ = io.Copy(to, from)
			_ = client.Close()
			_ = server.Close()
		})
	}
	copies.Wait()
}
