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

// Table holds the edges of every story, by its name.
type Table map[string]*Story

// Story is what must, and what may, be seen of one story.
type Story struct {
	Must []string
	May  []string // it depends on who is faster
}

var edgePattern = regexp.MustCompile(`^[a-z]+ -- \S+( \S+)? --> [a-z]+( \([a-z.-]+\))?$`)

// ParseTable reads the stories. A line "== name ==" begins one, each other line is one of its edges, with a question mark
// before it if the edge may be missing. What follows # is a comment, spaces line things up.
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
				return nil, fmt.Errorf("line %d: there is a story %q already", n, name)
			}
			story = &Story{}
			table[name] = story
			continue
		}
		edge, may := strings.CutPrefix(line, "? ")
		switch {
		case story == nil:
			return nil, fmt.Errorf("line %d: an edge before the first story", n)
		case !edgePattern.MatchString(edge):
			return nil, fmt.Errorf("line %d: not an edge: %s", n, edge)
		case slices.Contains(story.Must, edge), slices.Contains(story.May, edge):
			return nil, fmt.Errorf("line %d: said before: %s", n, edge)
		case may:
			story.May = append(story.May, edge)
		default:
			story.Must = append(story.Must, edge)
		}
	}
	return table, lines.Err()
}

// Diff compares what was seen with what should be: a line "missing" or "unexpected" for each difference, and "" if there
// is none.
func (s *Story) Diff(seen []string) string {
	type line struct{ verdict, edge string }
	var lines []line
	for _, edge := range s.Must {
		if !slices.Contains(seen, edge) {
			lines = append(lines, line{"missing   ", edge})
		}
	}
	for _, edge := range seen {
		if !slices.Contains(s.Must, edge) && !slices.Contains(s.May, edge) {
			lines = append(lines, line{"unexpected", edge})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.verdict, b.verdict) })
	var text strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&text, "%s  %s\n", l.verdict, l.edge)
	}
	return text.String()
}

// Queues lists the queues that edges of any story lead to, each once.
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
