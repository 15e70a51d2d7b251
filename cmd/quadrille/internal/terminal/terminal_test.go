package terminal

import (
	"bytes"
	"testing"
)

func TestOpen_Pipe(t *testing.T) {
	t.Parallel()
	for columns, want := range map[string]int{"": 100, "72": 72, "0": 100, "wide": 100} {
		out := &bytes.Buffer{}
		got := Open(out, func(name string) string { return map[string]string{"COLUMNS": columns}[name] })
		if got != (Screen{Out: out, Width: want}) {
			t.Errorf("COLUMNS=%q: %+v", columns, got)
		}
	}
}
