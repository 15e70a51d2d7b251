package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// modulePrefix begins the import path of every package of ours; its path from the root of the repository follows.
const modulePrefix = "github.com/quadrille-dev/quadrille/"

// check reads the imports of every Go file below the root of fsys, for whatever platform and tag it is, and returns
// the violations of rules by file and line.
func check(fsys fs.FS, rules []rule) (violations []string, err error) {
	err = fs.WalkDir(fsys, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(file):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(file) != ".go":
			return nil
		}
		found, err := checkFile(fsys, file, rules)
		violations = append(violations, found...)
		return err
	})
	return violations, err
}

// skipped says which folders the go command does not look into either. The tools are not part of the product.
func skipped(folder string) bool {
	base := path.Base(folder)
	return folder == "tools" || base == "testdata" || base == "vendor" ||
		folder != "." && strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

func checkFile(fsys fs.FS, file string, rules []rule) (violations []string, err error) {
	source, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if r.forbids(file, name(imported)) {
				line := positions.Position(spec.Pos()).Line
				violations = append(violations, fmt.Sprintf("%s:%d: imports %s: %s", file, line, imported, r.says))
			}
		}
	}
	return violations, nil
}

// name is how rules call an import.
func name(imported string) string {
	if ours, ok := strings.CutPrefix(imported, modulePrefix); ok {
		return "./" + ours
	}
	if host, _, _ := strings.Cut(imported, "/"); !strings.Contains(host, ".") {
		return "std"
	}
	return imported
}

func (r rule) forbids(file, imported string) bool {
	service := serviceOf(file)
	matches := func(patterns []string, s string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return match(p, service, s) })
	}
	return matches(r.files, file) && !matches(r.except, file) &&
		matches(r.imports, imported) && !matches(r.allowed, imported)
}

// serviceOf is the service that a file belongs to, or a name that none has.
func serviceOf(file string) string {
	if elements := strings.Split(file, "/"); elements[0] == "services" && len(elements) > 2 {
		return elements[1]
	}
	return "(none)"
}

var wildcards = regexp.MustCompile(`\.\.\.|\*|X`)

// match says whether s is what pattern describes, to its end.
func match(pattern, service, s string) bool {
	var expression strings.Builder
	rest := pattern
	for rest != "" {
		at := wildcards.FindStringIndex(rest)
		if at == nil {
			at = []int{len(rest), len(rest)}
		}
		expression.WriteString(regexp.QuoteMeta(rest[:at[0]]))
		switch rest[at[0]:at[1]] {
		case "...":
			expression.WriteString(".*")
		case "*":
			expression.WriteString("[^/]*")
		case "X":
			expression.WriteString(regexp.QuoteMeta(service))
		}
		rest = rest[at[1]:]
	}
	return regexp.MustCompile("^" + expression.String() + "$").MatchString(s)
}
