package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

const testRules = `
words:
  - {word: nobody, instead: name it}
  - {word: "says? whether", instead: reports whether}
  - {word: "letters?", instead: message, unless: ["dead[- ]letters?"]}
exceptions:
  - {files: docs/glossary.md, because: it lists the words}
  - {files: "services/**/*.md", words: [nobody], because: a test}
`

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, file, source, want string }{
		{"comment", "a.go", "package a\n\n// Nobody reads.\n", "a.go:3:4: \"Nobody\": name it"},
		{"comment at the end of a line", "a.go", "package a // nobody\n", "a.go:1:14: \"nobody\": name it"},
		{"block comment", "a.go", "/* one\nnobody */\npackage a\n", "a.go:2:1: \"nobody\": name it"},
		{"phrase across lines", "a.go", "package a\n\n\t// f says\n\t// whether\n", "a.go:3:7: \"says whether\": reports whether"},
		{"two of one line", "a.md", "letter, nobody", "a.md:1:1: \"letter\": message\na.md:1:9: \"nobody\": name it"},
		{"part of a word", "a.md", "bloodletter nobodys", ""},
		{"string and identifier", "a.go", "package a\n\nvar nobody = \"nobody\"\n", ""},
		{"directive", "a.go", "package a\n\n//go:embed nobody\n", ""},
		{"indented code", "a.go", "package a\n\n// One:\n//\n//\tnobody()\n", ""},
		{"output of an example", "a.go", "package a\n\nfunc f() {\n\t// Output: nobody\n}\n", ""},
		{"allowed phrase", "a.md", "a dead letter, and two dead-letters of the Dead\nLetter queue", ""},
		{"allowed phrase beside the word", "a.md", "a dead letter or a letter", "a.md:1:20: \"letter\": message"},
		{"Markdown", "a.md", "# Title\n\nfor nobody\n", "a.md:3:5: \"nobody\": name it"},
		{"fence", "a.md", "```sh\nnobody\n```\n\n~~~\nnobody\n```\nnobody\n~~~\n", ""},
		{"after a fence", "a.md", "```sh\nls\n```\nnobody\n", "a.md:4:1: \"nobody\": name it"},
		{"inline code, link and tag", "a.md", "`nobody` [text](nobody.md) <img alt=\"nobody\"> https://nobody.example", ""},
		{"text of a link", "a.md", "[nobody](a.md)", "a.md:1:2: \"nobody\": name it"},
		{"exception for all words", "docs/glossary.md", "nobody, letter", ""},
		{"exception for a word", "services/order/README.md", "nobody, letter", "services/order/README.md:1:9: \"letter\": message"},
		{"testdata", "testdata/a.md", "nobody", ""},
		{"template of GitHub", ".github/a.md", "nobody", ".github/a.md:1:1: \"nobody\": name it"},
		{"other file", "a.txt", "nobody", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			list, err := parseRules([]byte(testRules))
			if err != nil {
				t.Fatal(err)
			}
			findings, err := check(fstest.MapFS{tc.file: {Data: []byte(tc.source)}, "other.md": {}}, list)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, f.String())
			}
			if got := strings.Join(got, "\n"); got != tc.want {
				t.Errorf("found\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestCheck_Errors(t *testing.T) {
	t.Parallel()
	list, err := parseRules([]byte(testRules))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := check(fstest.MapFS{"a.go": {Data: []byte("no Go")}}, list); err == nil {
		t.Error("a file that is no Go passes")
	}
	if _, err := check(fstest.MapFS{"a.txt": {}}, list); err == nil {
		t.Error("a tree without files to check passes")
	}
}

func TestRules_Unused(t *testing.T) {
	t.Parallel()
	list, err := parseRules([]byte(testRules))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := check(fstest.MapFS{"docs/glossary.md": {Data: []byte("nobody")}}, list); err != nil {
		t.Fatal(err)
	}
	if unused := list.unused(); len(unused) != 1 || unused[0].Files != "services/**/*.md" {
		t.Errorf("unused exceptions: %v", unused)
	}
}

func TestParseRules(t *testing.T) {
	t.Parallel()
	if _, err := parseRules(words); err != nil {
		t.Error(err)
	}
	for name, source := range map[string]string{
		"no words":                 "words: []",
		"no replacement":           "words: [{word: a}]",
		"broken expression":        "words: [{word: '(', instead: b}]",
		"unknown field":            "words: [{word: a, insted: b}]",
		"exception without reason": "words: [{word: a, instead: b}]\nexceptions: [{files: a.md}]",
		"exception for no word":    "words: [{word: a, instead: b}]\nexceptions: [{files: a.md, words: [c], because: d}]",
	} {
		if _, err := parseRules([]byte(source)); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
}
