package load

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// counts are how many orders there are of each kind, at a moment.
type counts struct {
	arrived, dropped, accepted, ended, open, failed int
}

func (c *crowd) counts() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Progress is how a run stands.
type Progress struct {
	Doing    string        // what is being done while no customers come, if it is more than to wait
	Since    time.Duration // the first customer
	Arrived  int
	Dropped  int
	Accepted int
	Ended    int
	Open     int
	Failed   int // requests
}

// String is a line about it.
func (p Progress) String() string {
	if p.Doing != "" {
		return p.Doing
	}
	line := fmt.Sprintf("%5.1f s  %d came · %d accepted · %d ended · %d open", p.Since.Seconds(), p.Arrived, p.Accepted, p.Ended, p.Open)
	if p.Dropped > 0 {
		line += fmt.Sprintf(" · %d turned away", p.Dropped)
	}
	if p.Failed > 0 {
		line += " · " + plural(p.Failed, "failed request", "failed requests")
	}
	return line
}

// watch tells the progress of a run, at an interval and at once when something else begins.
type watch struct {
	tell func(Progress)
	quit chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	start time.Time
	crowd *crowd
	doing string
}

func newWatch(cfg Config) *watch {
	w := &watch{tell: cfg.Progress, quit: make(chan struct{})}
	if w.tell == nil {
		w.tell = func(Progress) {}
		return w
	}
	w.done.Go(func() {
		ticker := time.NewTicker(cfg.Interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				w.now(false)
			case <-w.quit:
				return
			}
		}
	})
	return w
}

func (w *watch) stop() {
	close(w.quit)
	w.done.Wait()
}

// stage says what is being done from now on.
func (w *watch) stage(doing string) {
	w.mu.Lock()
	w.doing = doing
	w.mu.Unlock()
	w.now(true)
}

// arrivals says that customers come from now on.
func (w *watch) arrivals(start time.Time, c *crowd) {
	w.mu.Lock()
	w.start, w.crowd, w.doing = start, c, ""
	w.mu.Unlock()
	w.now(true)
}

func (w *watch) now(news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := Progress{Doing: w.doing}
	if w.doing != "" && !news {
		return // it has been said
	}
	if w.crowd != nil {
		n := w.crowd.counts()
		p.Since = time.Since(w.start)
		p.Arrived, p.Dropped, p.Accepted, p.Ended, p.Open, p.Failed = n.arrived, n.dropped, n.accepted, n.ended, n.open, n.failed
	}
	w.tell(p)
}

// NewProgress writes progress to out: on a screen of this width a line that is written over again and again, else a line
// each time. What is written last is wiped away by clear.
func NewProgress(out io.Writer, width int, redraw bool) (tell func(Progress), clear func()) {
	if !redraw {
		return func(p Progress) { fmt.Fprintln(out, p) }, func() {}
	}
	const wipe = "\r\x1b[K"
	tell = func(p Progress) {
		line := []rune(p.String())
		fmt.Fprint(out, wipe+string(line[:min(len(line), width-1)]))
	}
	return tell, func() { fmt.Fprint(out, wipe) }
}
