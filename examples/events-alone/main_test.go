package main

import (
	"context"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/verify/testservers"
)

func TestMain(m *testing.M) { testservers.Main(m) }

func TestRun_LaysEveryTableOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := config{testservers.Database(t), testservers.Database(t), testservers.AMQP(t)}
	for _, c := range []struct {
		table        string
		guests, want int
	}{{"7", 4, 4}, {"8", 2, 6}, {"7", 4, 6}} {
		plates, err := run(ctx, cfg, c.table, c.guests)
		if err != nil {
			t.Fatal(err)
		}
		if plates != c.want {
			t.Errorf("after table %s: %d plates in use, want %d", c.table, plates, c.want)
		}
	}
}
