package embedded

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestCheckExposure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address string
		environ []string
		refused bool
	}{
		{"127.0.0.1:8081", nil, false},
		{"localhost:8081", nil, false},
		{"[::1]:0", nil, false},
		{":8081", nil, true},
		{"0.0.0.0:8081", []string{"OPS_TOKEN="}, true},
		{"192.0.2.1:8081", nil, true},
		{"stack.example:8081", nil, true},
		{"0.0.0.0:8081", []string{"OPS_TOKEN=mine"}, false},
	} {
		at := Addresses{Carrier: c.address}
		err := checkExposure(&at, c.environ)
		if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "OPS_TOKEN") {
			t.Errorf("%s with %v: %v", c.address, c.environ, err)
		}
	}
}

func TestOpenDatabase_FileMode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // has other means
	}
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Exec("create table t (x text)").Error; err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "things.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
