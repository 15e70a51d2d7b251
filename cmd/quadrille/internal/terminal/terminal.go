// Package terminal says what the screen that a command writes to can show.
package terminal

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Screen is what somebody looks at, or a pipe or a file.
type Screen struct {
	Width   int
	Redraws bool // understands escape sequences, so that a line can be written anew
	Colours bool // and is to show colours
}

// Of looks at out. What is no terminal is 100 wide, or as COLUMNS says, and understands nothing.
func Of(out io.Writer, getenv func(string) string) Screen {
	s := Screen{Width: 100}
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
	s.Redraws = getenv("TERM") != "dumb" && understandsEscapes(file)
	s.Colours = s.Redraws && getenv("NO_COLOR") == ""
	return s
}
