package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rules are the content of words.yaml.
type rules struct {
	Words      []entry
	Exceptions []exception
}

// An entry is a word that is not to be used.
type entry struct {
	Word    string   // a regular expression of whole words; a space matches line breaks, too
	Instead string   // what to write, for the message
	Unless  []string // phrases, in the same form, in which the word is allowed

	pattern *regexp.Regexp
	allowed *regexp.Regexp // nil if Unless is empty
}

// An exception allows words in some files.
type exception struct {
	Files   string   // a path, in which * stands for any part of a name and ** for any folders
	Words   []string // of entries, as written there; none means all
	Because string

	pattern *regexp.Regexp
	used    bool
}

func parseRules(source []byte) (*rules, error) {
	var r rules
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	decoder.KnownFields(true)
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("words.yaml: %w", err)
	}
	var errs []error
	known := map[string]bool{}
	for i := range r.Words {
		e := &r.Words[i]
		if e.Instead == "" {
			errs = append(errs, fmt.Errorf("words.yaml: %q has no instead", e.Word))
		}
		known[e.Word] = true
		var err error
		if e.pattern, err = phrase(e.Word); err != nil {
			errs = append(errs, fmt.Errorf("words.yaml: %q: %w", e.Word, err))
		}
		if len(e.Unless) > 0 {
			if e.allowed, err = phrase(strings.Join(e.Unless, "|")); err != nil {
				errs = append(errs, fmt.Errorf("words.yaml: unless of %q: %w", e.Word, err))
			}
		}
	}
	for i := range r.Exceptions {
		e := &r.Exceptions[i]
		e.pattern = glob(e.Files)
		if e.Because == "" {
			errs = append(errs, fmt.Errorf("words.yaml: the exception for %s has no because", e.Files))
		}
		for _, word := range e.Words {
			if !known[word] {
				errs = append(errs, fmt.Errorf("words.yaml: the exception for %s names %q, which is no word of the list", e.Files, word))
			}
		}
	}
	if len(r.Words) == 0 {
		errs = append(errs, errors.New("words.yaml: no words"))
	}
	return &r, errors.Join(errs...)
}

// phrase compiles an expression to one that matches whole words, in any case and across line breaks.
func phrase(expression string) (*regexp.Regexp, error) {
	return regexp.Compile(`(?i)\b(?:` + strings.ReplaceAll(expression, " ", `\s+`) + `)\b`)
}

func glob(pattern string) *regexp.Regexp {
	expression := regexp.QuoteMeta(pattern)
	expression = strings.ReplaceAll(expression, `\*\*/`, `(?:.*/)?`)
	expression = strings.ReplaceAll(expression, `\*\*`, `.*`)
	expression = strings.ReplaceAll(expression, `\*`, `[^/]*`)
	return regexp.MustCompile(`^` + expression + `$`)
}

// excuses reports whether an exception allows the word in the file.
func (r *rules) excuses(file string, e *entry) bool {
	for i := range r.Exceptions {
		x := &r.Exceptions[i]
		if x.pattern.MatchString(file) && (len(x.Words) == 0 || slices.Contains(x.Words, e.Word)) {
			x.used = true
			return true
		}
	}
	return false
}

// unused returns the exceptions that have excused nothing yet.
func (r *rules) unused() []exception {
	var unused []exception
	for _, x := range r.Exceptions {
		if !x.used {
			unused = append(unused, x)
		}
	}
	return unused
}
