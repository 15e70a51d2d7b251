package edges

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Table has the edges of each story by its name.
type Table map[string]*Story

// Story has the edges of one story.
type Story struct {
	Must []string
	May  []string // depends on the order of concurrent steps
}

var edgePattern = regexp.MustCompile(`^[a-z]+ -- \S+( \S+)? --> [a-z]+( \([a-z.-]+\))?$`)

// ParseTable parses a table. A line "== name ==" begins a story. Each other line is an edge of it, with a question mark in front
// of an edge that may be missing. A comment begins with #. Repeated spaces count as one.
func ParseTable(r io.Reader) (Table, error) {
	table := Table{}
	var story *Story
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.Join(strings.Fields(line), " ")
		if line == "" {
			continue
		}
		if name, found := strings.CutPrefix(line, "== "); found {
			name = strings.TrimSuffix(name, " ==")
			if table[name] != nil {
				return nil, fmt.Errorf("line %d: duplicate story %q", n, name)
			}
			story = &Story{}
			table[name] = story
			continue
		}
		edge, may := strings.CutPrefix(line, "? ")
		switch {
		case story == nil:
			return nil, fmt.Errorf("line %d: edge before the first story", n)
		case !edgePattern.MatchString(edge):
			return nil, fmt.Errorf("line %d: not an edge: %s", n, edge)
		case slices.Contains(story.Must, edge), slices.Contains(story.May, edge):
			return nil, fmt.Errorf("line %d: duplicate edge: %s", n, edge)
		case may:
			story.May = append(story.May, edge)
		default:
			story.Must = append(story.Must, edge)
		}
	}
	return table, lines.Err()
}

// Diff compares edges with those of the story. It returns a line "missing" or "unexpected" for each difference, and "" if
// there is none.
func (s *Story) Diff(got []string) string {
	type line struct{ kind, edge string }
	var lines []line
	for _, edge := range s.Must {
		if !slices.Contains(got, edge) {
			lines = append(lines, line{"missing   ", edge})
		}
	}
	for _, edge := range got {
		if !slices.Contains(s.Must, edge) && !slices.Contains(s.May, edge) {
			lines = append(lines, line{"unexpected", edge})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.kind, b.kind) })
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&text, "%s  %s\n", l.kind, l.edge)
	}
	return text.String()
}

// Queues returns the queues of all edges, each once.
func (t Table) Queues() []string {
	var queues []string
	for _, story := range t {
		for _, edge := range slices.Concat(story.Must, story.May) {
			if _, queue, found := strings.Cut(edge, "("); found {
				queues = append(queues, strings.TrimSuffix(queue, ")"))
			}
		}
	}
	slices.Sort(queues)
	return slices.Compact(queues)
}
