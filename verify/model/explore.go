package model

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// Result has the numbers of an exploration without a violation.
type Result struct {
	States  int // distinct states
	Ends    int // states in which nothing more has to happen
	Longest int // moves of the longest run
	seen    []transition
}

// Violation is an invariant that does not hold, and the shortest path to a state that violates it.
type Violation struct {
	Invariant     string
	Circumstances Circumstances
	Path          []string // one line for each move; a cycle starts anywhere
	State         string   // at the end of the path
}

// Error returns the invariant, the circumstances and the path, on several lines.
func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "violated: %s\n%+v\n", v.Invariant, v.Circumstances)
	for i, line := range v.Path {
		fmt.Fprintf(&b, "%3d  %s\n", i+1, line)
	}
	fmt.Fprintf(&b, "     %s", v.State)
	return b.String()
}

// Explore visits every state that an order can reach, with up to the given number of faults, under all circumstances. It
// returns a *Violation if an invariant does not hold. It uses all processors.
func Explore(faults int) (Result, error) { return newModel().explore(faults) }

func everyCircumstance() []Circumstances {
	var all []Circumstances
	for i := range 8 {
		all = append(all, Circumstances{StockShort: i&4 != 0, CardDeclined: i&2 != 0, Undeliverable: i&1 != 0})
	}
	return all
}

func (d *services) explore(faults int) (Result, error) {
	var (
		all     = everyCircumstance()
		results = make([]Result, len(all))
		errs    = make([]error, len(all))
		free    = make(chan struct{}, runtime.GOMAXPROCS(0))
		wg      sync.WaitGroup
	)
	for i, c := range all {
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			results[i], errs[i] = d.exploreIn(c, faults)
		})
	}
	wg.Wait()
	var sum Result
	for i, r := range results {
		if errs[i] != nil {
			return Result{}, errs[i] // the circumstances are sorted, the simplest first
		}
		sum.States, sum.Ends, sum.Longest = sum.States+r.States, sum.Ends+r.Ends, max(sum.Longest, r.Longest)
		sum.seen = append(sum.seen, r.seen...)
	}
	return sum, nil
}

func (d *services) exploreIn(c Circumstances, faults int) (result Result, err error) {
	r, begin, err := newRun(d, c, faults)
	if err == nil {
		err = r.explore(begin, &result)
	}
	return result, err
}

// frame is a state on the current path, and the moves that are possible in it.
type frame struct {
	state  state
	next   []next
	tried  int
	height uint8 // the longest run from here, in moves
}

const onPath = 255

// explore searches depth first, which finds cycles: a state that is reached again while it is on the path.
func (r *run) explore(begin state, result *Result) error {
	heights := map[state]uint8{} // onPath, or the longest run from there
	var path []frame
	enter := func(w state) error {
		if invariant := r.broken(&w); invariant != "" {
			return r.shortest(begin, invariant)
		}
		result.States++
		if r.atRest(&w) {
			result.Ends++
		}
		heights[w] = onPath
		if len(path) < cap(path) {
			path = path[:len(path)+1] // reuses the frame's slice of moves
		} else {
			path = append(path, frame{})
		}
		f := &path[len(path)-1]
		f.state, f.tried, f.height = w, 0, 0
		var err error
		f.next, err = r.moves(&w, f.next[:0])
		return err
	}
	if err := enter(begin); err != nil {
		return err
	}
	for len(path) > 0 {
		f := &path[len(path)-1]
		if f.tried == len(f.next) {
			heights[f.state] = f.height
			path = path[:len(path)-1]
			if len(path) > 0 {
				above := &path[len(path)-1]
				above.height = max(above.height, f.height+1)
			}
			result.Longest = int(f.height) // the last one set is that of the first state
			continue
		}
		n := &f.next[f.tried]
		f.tried++
		switch height, known := heights[n.state]; {
		case !known:
			if err := enter(n.state); err != nil {
				return err
			}
		case height == onPath:
			return r.cycle(path, n.state)
		default:
			f.height = max(f.height, height+1)
		}
	}
	result.seen = r.transitions()
	return nil
}

func (r *run) cycle(path []frame, again state) error {
	v := &Violation{Invariant: "every run ends", Circumstances: r.circumstances, State: "repeated without end"}
	start := len(path) - 1
	for path[start].state != again {
		start--
	}
	for _, f := range path[start:] {
		v.Path = append(v.Path, r.words(&f.state, f.next[f.tried-1].move))
	}
	return v
}

// shortest searches breadth first, and returns the nearest violation.
func (r *run) shortest(begin state, invariant string) error {
	type origin struct {
		from state
		move move
	}
	origins, queue := map[state]origin{begin: {}}, []state{begin}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		if invariant := r.broken(&w); invariant != "" {
			v := &Violation{Invariant: invariant, Circumstances: r.circumstances, State: r.view(&w).String()}
			for at := w; at != begin; at = origins[at].from {
				o := origins[at]
				v.Path = append([]string{r.words(&o.from, o.move)}, v.Path...)
			}
			return v
		}
		successors, err := r.moves(&w, nil)
		if err != nil {
			return err
		}
		for _, n := range successors {
			if _, known := origins[n.state]; !known {
				origins[n.state] = origin{w, n.move}
				queue = append(queue, n.state)
			}
		}
	}
	return errors.New("violation not found again: " + invariant)
}

// words describes a move.
func (r *run) words(w *state, m move) string {
	switch m.kind {
	case dispatch:
		return "the carrier dispatches the parcel" + r.describePublished(r.dispatched, m.twice)
	case deliver:
		return "the carrier delivers the parcel" + r.describePublished(r.delivered, m.twice)
	case customerCancel:
		m.message = r.customerCancels
	}
	l := r.messages[m.message]
	s := r.steps[l.to][w.at[l.to]][m.message]
	a := r.actors[l.to]
	words := fmt.Sprintf("%s, %s: %s", a.title(), a.describe(w.at[l.to]), l.words())
	switch {
	case m.kind == lostResponse:
		return words + ", calls, and the response is lost"
	case s.calls != nil && s.wanted:
		return words + " and calls"
	case s.calls != nil:
		return words + " and does not need to call any more"
	}
	if after := a.describe(s.next); after != a.describe(w.at[l.to]) {
		words += " → " + after
	}
	return words + r.describePublished(s.published, m.twice)
}

func (r *run) describePublished(published []uint8, twice uint8) string {
	var words strings.Builder
	for i, e := range published {
		words.WriteString("; publishes " + r.events[e].words())
		if twice&(1<<i) != 0 {
			words.WriteString(" twice")
		}
	}
	return words.String()
}

func (l message) words() string {
	if l.event.Type == "" {
		return l.input
	}
	return "handles " + l.event.words()
}

func (e event) words() string {
	words := strings.TrimSuffix(e.Type, ".v1")
	if e.Detail != "" {
		words += " (" + e.Detail + ")"
	}
	return words
}
