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

// Queues is the response of the broker in this process to GET /ops/queues: the number of events in each queue, by the name
// that the queue has on RabbitMQ. Events that wait for a retry are in the handler's queue, dead letters in its .dlq.
type Queues struct {
	Queues map[string]int `json:"queues"`
}

// FetchQueues returns the sizes of the queues of the broker at this base URL.
func FetchQueues(ctx context.Context, url, token string) (map[string]int, error) {
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
	var body Queues
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&body); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return body.Queues, nil
}

// serveQueues serves /ops/queues on listener until ctx ends.
func serveQueues(ctx context.Context, broker *inprocess.Broker, token string, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ops/queues", func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="broker"`)
			http.Error(w, "the operators' token is missing or wrong", http.StatusUnauthorized)
			return
		}
		states, err := broker.Queues(r.Context())
		if err != nil {
			slog.WarnContext(r.Context(), "cannot count queues", "error", err)
			http.Error(w, "cannot read a database", http.StatusServiceUnavailable)
			return
		}
		body := Queues{Queues: make(map[string]int, 2*len(states))}
		for _, s := range states {
			body.Queues[s.Service+"."+s.Handler+".q"] = s.Waiting
			body.Queues[s.Service+"."+s.Handler+".dlq"] = s.DeadLettered
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body) // the client may have disconnected
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // without waiting for requests
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
