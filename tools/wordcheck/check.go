package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A finding is a word that is not to be used, and where it is.
type finding struct {
	file         string
	line, column int
	text         string
	entry        *entry
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %q: %s", f.file, f.line, f.column, f.text, f.entry.Instead)
}

// check reads all Go and Markdown files below the root of fsys and returns what it finds, in the order of the files.
func check(fsys fs.FS, list *rules) (findings []finding, err error) {
	files := 0
	err = fs.WalkDir(fsys, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(file) {
				return fs.SkipDir
			}
			return nil
		}
		prose := proseOf[path.Ext(file)]
		if prose == nil {
			return nil
		}
		files++
		source, err := fs.ReadFile(fsys, file)
		if err != nil {
			return err
		}
		text, err := prose(file, source)
		if err != nil {
			return err
		}
		findings = append(findings, find(file, text, list)...)
		return nil
	})
	if err == nil && files == 0 {
		err = errors.New("found no files to check")
	}
	return findings, err
}

// skipped reports whether a folder holds no prose of ours.
func skipped(folder string) bool {
	base := path.Base(folder)
	return base == "testdata" || base == "node_modules" ||
		strings.HasPrefix(base, ".") && base != "." && base != ".github" && base != ".ci"
}

// find returns the findings in text, in which everything that is no prose is blank.
func find(file string, text []byte, list *rules) (findings []finding) {
	for i := range list.Words {
		e := &list.Words[i]
		var allowed [][]int
		if e.allowed != nil {
			allowed = e.allowed.FindAllIndex(text, -1)
		}
		for _, at := range e.pattern.FindAllIndex(text, -1) {
			within := func(phrase []int) bool { return phrase[0] <= at[0] && at[1] <= phrase[1] }
			if slices.ContainsFunc(allowed, within) || list.excuses(file, e) {
				continue
			}
			before := string(text[:at[0]])
			findings = append(findings, finding{
				file:   file,
				line:   strings.Count(before, "\n") + 1,
				column: at[0] - strings.LastIndex(before, "\n"),
				text:   strings.Join(strings.Fields(string(text[at[0]:at[1]])), " "),
				entry:  e,
			})
		}
	}
	slices.SortStableFunc(findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return findings
}
