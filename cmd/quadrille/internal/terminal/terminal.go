// Package terminal reports what the terminal, pipe or file that a command writes to can show.
package terminal

import (
	"io"
	"os"
	"strconv"

	"github.com/mattn/go-colorable"
	"golang.org/x/term"
)

// Screen is an output with its properties.
type Screen struct {
	Out     io.Writer // where to write; it translates escape sequences on a Windows console that does not support them
	Width   int
	Redraws bool // escape sequences work, so that a line can be overwritten
	Colours bool // colours are supported and wanted
}

// Open returns the screen of out. Outputs other than terminals are 100 characters wide, unless COLUMNS is set, and have
// neither colours nor escape sequences.
func Open(out io.Writer, getenv func(string) string) Screen {
	s := Screen{Out: out, Width: 100}
	if n, err := strconv.Atoi(getenv("COLUMNS")); err == nil && n > 0 {
		s.Width = n
	}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return s
	}
	if n, _, err := term.GetSize(int(file.Fd())); err == nil && n > 0 {
		s.Width = n
	}
	s.Out = colorable.NewColorable(file)
	s.Redraws = getenv("TERM") != "dumb"
	s.Colours = s.Redraws && getenv("NO_COLOR") == ""
	return s
}
