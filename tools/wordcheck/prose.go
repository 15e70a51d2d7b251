package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

// proseOf has, for each extension, the function that returns a file's text with everything but prose replaced by
// blanks, so that lines and columns are those of the file.
var proseOf = map[string]func(file string, source []byte) ([]byte, error){
	".go": proseOfGo,
	".md": func(_ string, source []byte) ([]byte, error) { return proseOfMarkdown(source), nil },
}

var (
	url        = regexp.MustCompile(`https?://[^\s)>]+`)
	code       = regexp.MustCompile("``[^`]+``|`[^`]+`")
	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
	tag        = regexp.MustCompile(`</?[a-zA-Z!][^>]*>`)
	directive  = regexp.MustCompile(`^//[a-z]+:?[a-z]+`) // no blank after the slashes: go:embed, nolint:gosec
)

// proseOfGo keeps the comments: neither directives, nor indented code, nor the output of examples.
func proseOfGo(file string, source []byte) ([]byte, error) {
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	text := blank(source)
	for _, group := range parsed.Comments {
		if heading := strings.ToLower(group.Text()); strings.HasPrefix(heading, "output:") || strings.HasPrefix(heading, "unordered output:") {
			continue
		}
		for _, comment := range group.List {
			// comment.Text has no carriage returns; there are none in our files.
			start := positions.Position(comment.Pos()).Offset
			if directive.MatchString(comment.Text) || strings.HasPrefix(comment.Text, "//\t") {
				continue
			}
			copy(text[start+2:], comment.Text[2:]) // the slashes stay blank: words of two lines stay neighbours
			if strings.HasPrefix(comment.Text, "/*") {
				copy(text[start+len(comment.Text)-2:], "  ")
			}
		}
	}
	erase(text, url, code)
	return text, nil
}

// proseOfMarkdown keeps neither code nor the targets of links.
func proseOfMarkdown(source []byte) []byte {
	text := bytes.Clone(source)
	fence := ""
	offset := 0
	for line := range bytes.Lines(source) {
		trimmed := strings.TrimLeft(string(line), " \t>")
		switch {
		case fence != "":
			copy(text[offset:], blank(line))
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			}
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			fence = trimmed[:3]
			copy(text[offset:], blank(line))
		}
		offset += len(line)
	}
	erase(text, url, code, linkTarget, tag)
	return text
}

// blank returns as many blanks as source has bytes, in lines of the same lengths.
func blank(source []byte) []byte {
	blanks := bytes.Repeat([]byte{' '}, len(source))
	for i, c := range source {
		if c == '\n' {
			blanks[i] = '\n'
		}
	}
	return blanks
}

// erase replaces by blanks what matches one of the expressions.
func erase(text []byte, expressions ...*regexp.Regexp) {
	for _, expression := range expressions {
		for _, at := range expression.FindAllIndex(text, -1) {
			copy(text[at[0]:at[1]], blank(text[at[0]:at[1]]))
		}
	}
}
