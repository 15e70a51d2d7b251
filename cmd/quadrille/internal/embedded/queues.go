package embedded

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/events/inprocess"
)

// Queues is what the broker in this process answers operators at /ops/queues: how many events wait, by the names that
// queues have on a RabbitMQ. Those that wait for another attempt count as waiting; dead letters have a queue, .dlq.
type Queues struct {
	Queues map[string]int `json:"queues"`
}

// AskQueues asks the broker at the base URL for its queues.
func AskQueues(ctx context.Context, url, token string) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/ops/queues", nil)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("broker: status %d", response.StatusCode)
	}
	var answer Queues
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return answer.Queues, nil
}

// serveQueues answers on listener until ctx ends.
func serveQueues(ctx context.Context, hub *inprocess.Broker, token string, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ops/queues", func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="broker"`)
			http.Error(w, "the operators' token is missing or wrong", http.StatusUnauthorized)
			return
		}
		states, err := hub.Queues(r.Context())
		if err != nil {
			slog.WarnContext(r.Context(), "queues were not counted", "error", err)
			http.Error(w, "a database does not answer", http.StatusServiceUnavailable)
			return
		}
		answer := Queues{Queues: make(map[string]int, 2*len(states))}
		for _, s := range states {
			answer.Queues[s.Service+"."+s.Handler+".q"] = s.Waiting
			answer.Queues[s.Service+"."+s.Handler+".dlq"] = s.DeadLettered
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // who asked may have gone
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody waits for a count
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
