package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

// understandsEscapes asks the console to take escape sequences for what they mean, which older ones do not do unasked.
func understandsEscapes(console *os.File) bool {
	var mode uint32
	handle := windows.Handle(console.Fd())
	if windows.GetConsoleMode(handle, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
