package main

import (
	"errors"
	"strings"
)

// firstProgram returns the first fenced block of Go code in a Markdown text, which has to be a whole program.
func firstProgram(markdown string) (string, error) {
	_, rest, found := strings.Cut("\n"+markdown, "\n```go\n")
	if !found {
		return "", errors.New("no block of Go code")
	}
	program, _, found := strings.Cut(rest, "\n```")
	switch {
	case !found:
		return "", errors.New("the first block of Go code does not end")
	case !strings.HasPrefix(program+"\n", "package main\n"):
		return "", errors.New("the first block of Go code is no program: it does not begin with package main")
	}
	return program + "\n", nil
}
