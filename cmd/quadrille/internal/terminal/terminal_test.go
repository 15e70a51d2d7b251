package terminal

import (
	"bytes"
	"testing"
)

func TestOf_APipeIsPlainAndAsWideAsColumnsSays(t *testing.T) {
	t.Parallel()
	for columns, want := range map[string]int{"": 100, "72": 72, "0": 100, "wide": 100} {
		got := Of(&bytes.Buffer{}, func(name string) string { return map[string]string{"COLUMNS": columns}[name] })
		if got != (Screen{Width: want}) {
			t.Errorf("COLUMNS=%q: %+v", columns, got)
		}
	}
}
