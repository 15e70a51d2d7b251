package load

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/dustin/go-humanize/english"
)

// counts are the numbers of orders at one time.
type counts struct {
	arrived, dropped, accepted, ended, open, failed int
}

func (g *generator) counts() counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current
}

// Progress is the progress of a run.
type Progress struct {
	Phase    string        // what the run does before and after the orders are placed
	Since    time.Duration // the first order was due
	Arrived  int
	Dropped  int
	Accepted int
	Ended    int
	Open     int
	Failed   int // requests
}

// String returns a line of text.
func (p Progress) String() string {
	if p.Phase != "" {
		return p.Phase
	}
	line := fmt.Sprintf("%5.1f s  %d due · %d accepted · %d ended · %d open", p.Since.Seconds(), p.Arrived, p.Accepted, p.Ended, p.Open)
	if p.Dropped > 0 {
		line += fmt.Sprintf(" · %d not sent", p.Dropped)
	}
	if p.Failed > 0 {
		line += " · " + english.Plural(p.Failed, "failed request", "")
	}
	return line
}

// progressReporter reports the progress of a run, at an interval and when a phase begins.
type progressReporter struct {
	report func(Progress)
	quit   chan struct{}
	done   sync.WaitGroup

	mu        sync.Mutex
	start     time.Time
	generator *generator
	current   string
}

func newProgressReporter(cfg Config) *progressReporter {
	w := &progressReporter{report: cfg.Progress, quit: make(chan struct{})}
	if w.report == nil {
		w.report = func(Progress) {}
		return w
	}
	w.done.Go(func() {
		ticker := time.NewTicker(cfg.Interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				w.reportNow(false)
			case <-w.quit:
				return
			}
		}
	})
	return w
}

func (w *progressReporter) stop() {
	close(w.quit)
	w.done.Wait()
}

// phase begins a phase.
func (w *progressReporter) phase(doing string) {
	w.mu.Lock()
	w.current = doing
	w.mu.Unlock()
	w.reportNow(true)
}

// arrivals begins the phase in which orders are placed.
func (w *progressReporter) arrivals(start time.Time, g *generator) {
	w.mu.Lock()
	w.start, w.generator, w.current = start, g, ""
	w.mu.Unlock()
	w.reportNow(true)
}

func (w *progressReporter) reportNow(changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := Progress{Phase: w.current}
	if w.current != "" && !changed {
		return // it has been reported
	}
	if w.generator != nil {
		n := w.generator.counts()
		p.Since = time.Since(w.start)
		p.Arrived, p.Dropped, p.Accepted, p.Ended, p.Open, p.Failed = n.arrived, n.dropped, n.accepted, n.ended, n.open, n.failed
	}
	w.report(p)
}

// NewProgress returns a function that writes progress to out, and a function that erases the last line. With redraw, each line
// overwrites the previous one and is at most as wide as the screen.
func NewProgress(out io.Writer, width int, redraw bool) (report func(Progress), erase func()) {
	if !redraw {
		return func(p Progress) { fmt.Fprintln(out, p) }, func() {}
	}
	const eraseLine = "\r" + ansi.EraseLineRight
	report = func(p Progress) {
		fmt.Fprint(out, eraseLine+ansi.Truncate(p.String(), width-1, ""))
	}
	return report, func() { fmt.Fprint(out, eraseLine) }
}
