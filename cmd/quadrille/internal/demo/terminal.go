package demo

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Terminal says how wide out is, and whether it can show colours. What is no terminal is 100 wide, or as COLUMNS says,
// and shows none.
func Terminal(out io.Writer, getenv func(string) string) (width int, colours bool) {
	width = 100
	if n, err := strconv.Atoi(getenv("COLUMNS")); err == nil && n > 0 {
		width = n
	}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return width, false
	}
	if n, _, err := term.GetSize(int(file.Fd())); err == nil && n > 0 {
		width = n
	}
	return width, getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && understandsColours(file)
}
