package checks

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```$")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// Every relative link in docs/ leads to a file or folder of the repository, and to a heading of it.
func TestLinks_LeadToFilesAndHeadings(t *testing.T) {
	t.Parallel()
	var pages []string
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 10 {
		t.Fatalf("found only %d pages", len(pages))
	}
	for _, page := range pages {
		text := codeBlock.ReplaceAllString(read(t, page), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			target, anchor, _ := strings.Cut(match[1], "#")
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: broken link %s", page, match[1])
			} else if anchor != "" && !hasAnchor(t, file, anchor) {
				t.Errorf("%s: no heading for %s", page, match[1])
			}
		}
	}
}

// hasAnchor reports whether a page has a heading with this anchor. GitHub derives the anchor from the heading.
func hasAnchor(t *testing.T, page, anchor string) bool {
	t.Helper()
	text := codeBlock.ReplaceAllString(read(t, page), "")
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		title := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		if strings.ReplaceAll(title, " ", "-") == anchor {
			return true
		}
	}
	return false
}
