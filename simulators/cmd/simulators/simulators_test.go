package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets the test binary run as the command, for tests that kill it.
func TestMain(m *testing.M) {
	if os.Getenv("SIMULATORS_TEST_RUN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a running simulators command.
type process struct {
	cmd                                          *exec.Cmd
	processor, processorOps, carrier, carrierOps string        // URLs
	drained                                      chan struct{} // closed at the end of its log
}

var environment = []string{
	"SIMULATORS_TEST_RUN=1", "OPS_TOKEN=operators", "CARRIER_DISPATCH_DELAY=20ms", "CARRIER_DELIVERY_DELAY=20ms",
	"PROCESSOR_ADDR=127.0.0.1:0", "PROCESSOR_OPS_ADDR=127.0.0.1:0", "CARRIER_ADDR=127.0.0.1:0", "CARRIER_OPS_ADDR=127.0.0.1:0",
}

// start runs the command with its journals in dir, and waits until it logs its addresses.
func start(t *testing.T, dir string, more ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(environment, "DATA_DIR="+dir), more...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, drained: make(chan struct{})}
	t.Cleanup(func() { _ = p.stop(syscall.SIGKILL) })
	lines := bufio.NewScanner(stderr)
	for (p.processor == "" || p.carrier == "") && lines.Scan() {
		var line struct {
			Msg     string
			Addr    string
			OpsAddr string `json:"ops_addr"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		switch line.Msg {
		case "card processor listening":
			p.processor, p.processorOps = "http://"+line.Addr, "http://"+line.OpsAddr
		case "carrier listening":
			p.carrier, p.carrierOps = "http://"+line.Addr, "http://"+line.OpsAddr
		default:
			t.Log(lines.Text())
		}
	}
	if p.processor == "" || p.carrier == "" {
		close(p.drained)
		t.Fatalf("simulators did not start: %v", lines.Err())
	}
	go func() {
		defer close(p.drained)
		for lines.Scan() {
			t.Log(lines.Text())
		}
	}()
	return p
}

// stop sends the signal and waits until the process exits. It returns an error unless the exit code is 0.
func (p *process) stop(signal syscall.Signal) error {
	_ = p.cmd.Process.Signal(signal)
	<-p.drained
	return p.cmd.Wait()
}

// send returns the status and the body of the response, or an error if the response was incomplete.
func send(ctx context.Context, method, url, body string, header http.Header) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

func operator() http.Header { return http.Header{"Authorization": {"Bearer operators"}} }

func (p *process) pay(ctx context.Context, order string) (int, []byte, error) {
	return send(ctx, http.MethodPost, p.processor+"/v1/payment_intents", url.Values{
		"amount": {"2599"}, "currency": {"eur"}, "payment_method": {"pm_card_visa"}, "confirm": {"true"},
		"metadata[order_id]": {order},
	}.Encode(), http.Header{"Authorization": {"Bearer sk_test_quadrille"}, "Idempotency-Key": {"pay-" + order}})
}

func (p *process) ship(ctx context.Context, order string) (int, []byte, error) {
	body := fmt.Sprintf(`{"reference":%q,"address":{"city":"Berlin"},"items":[{"sku":"TEA","quantity":1}]}`, order)
	return send(ctx, http.MethodPost, p.carrier+"/v1/shipments", body, http.Header{})
}

func (p *process) audit(t *testing.T, ops string, v any) {
	t.Helper()
	status, body, err := send(t.Context(), http.MethodGet, ops+"/ops/audit", "", operator())
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(body, v)
	}
	if err != nil || status != http.StatusOK {
		t.Fatalf("audit: %d %s %v", status, body, err)
	}
}

func TestKill_LosesNoResponse(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	reported := map[string]map[string]bool{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var webhook struct{ Type, Reference string }
		if err := json.NewDecoder(r.Body).Decode(&webhook); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if reported[webhook.Reference] == nil {
			reported[webhook.Reference] = map[string]bool{}
		}
		reported[webhook.Reference][webhook.Type] = true
	}))
	defer receiver.Close()

	dir := t.TempDir()
	webhook := []string{"CARRIER_WEBHOOK_URL=" + receiver.URL, "CARRIER_WEBHOOK_SECRET=webhook secret"}
	paid, shipped := map[string][]byte{}, map[string]string{}
	for round := range 3 {
		p := start(t, dir, webhook...)
		var clients sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for client := range 8 {
			clients.Go(func() {
				for n := 0; ; n++ {
					order := fmt.Sprintf("%d-%d-%d", round, client, n)
					status, body, err := p.pay(t.Context(), order)
					if err != nil {
						return // killed
					}
					if status != http.StatusOK {
						t.Errorf("pay %s: %d %s", order, status, body)
						return
					}
					mu.Lock()
					paid[order] = body
					mu.Unlock()
					status, body, err = p.ship(t.Context(), order)
					if err != nil {
						return
					}
					var sh struct{ ID string }
					if err := json.Unmarshal(body, &sh); err != nil || status != http.StatusCreated {
						t.Errorf("ship %s: %d %s %v", order, status, body, err)
						return
					}
					mu.Lock()
					shipped[order] = sh.ID
					mu.Unlock()
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			})
		}
		ended := make(chan struct{})
		go func() { clients.Wait(); close(ended) }()
		for range 40 {
			select {
			case <-enough:
			case <-ended:
				t.Fatal("the clients stopped before the process was killed")
			}
		}
		_ = p.stop(syscall.SIGKILL)
		<-ended
	}

	p := start(t, dir, webhook...)
	var cards struct {
		PaymentIntents []struct{ ID, OrderID, Status string }
	}
	p.audit(t, p.processorOps, &cards)
	intents := map[string]string{}
	for _, in := range cards.PaymentIntents {
		if intents[in.OrderID] != "" || in.Status != "succeeded" {
			t.Errorf("not charged exactly once: %+v", in)
		}
		intents[in.OrderID] = in.ID
	}
	for order, first := range paid {
		status, again, err := p.pay(t.Context(), order)
		if err != nil || status != http.StatusOK || !bytes.Equal(again, first) {
			t.Errorf("%s: got %s, then %d %s %v", order, first, status, again, err)
		}
		if !bytes.Contains(first, []byte(intents[order])) || intents[order] == "" {
			t.Errorf("%s: not in the audit snapshot", order)
		}
	}
	var parcels struct {
		Shipments       []struct{ ID, Reference, State string }
		PendingWebhooks int
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		p.audit(t, p.carrierOps, &parcels)
		delivered := 0
		for _, sh := range parcels.Shipments {
			if sh.State == "delivered" {
				delivered++
			}
		}
		if delivered == len(parcels.Shipments) && parcels.PendingWebhooks == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d delivered, %d webhooks pending", delivered, len(parcels.Shipments), parcels.PendingWebhooks)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	got := map[string]string{}
	for _, sh := range parcels.Shipments {
		if got[sh.Reference] != "" {
			t.Errorf("two shipments for %s", sh.Reference)
		}
		if _, ok := shipped[sh.Reference]; ok {
			got[sh.Reference] = sh.ID
		}
		if want := map[string]bool{"shipment.dispatched": true, "shipment.delivered": true}; !cmp.Equal(want, reported[sh.Reference]) {
			t.Errorf("%s: reported %v", sh.Reference, reported[sh.Reference])
		}
	}
	if diff := cmp.Diff(shipped, got); diff != "" {
		t.Error(diff)
	}
	t.Logf("%d paid, %d shipped", len(paid), len(shipped))
}

func TestTerminate_DisconnectsPausedRequest(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	status, body, err := send(t.Context(), http.MethodPost, p.processorOps+"/ops/faults", `{"action":"pause"}`, operator())
	if err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s %v", status, body, err)
	}
	paused := make(chan error, 1)
	go func() { _, _, err := p.pay(t.Context(), "o1"); paused <- err }()
	for !bytes.Contains(body, []byte(`"fired":1`)) {
		if _, body, err = send(t.Context(), http.MethodGet, p.processorOps+"/ops/faults", "", operator()); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.stop(syscall.SIGTERM); err != nil {
		t.Errorf("exit: %v", err)
	}
	if err := <-paused; err == nil {
		t.Error("the paused request got a response")
	}
}

func TestDown_ClosesListenerUntilRemoved(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	for _, simulator := range []struct{ api, ops string }{{p.processor, p.processorOps}, {p.carrier, p.carrierOps}} {
		for range 3 {
			if status, body, err := send(t.Context(), http.MethodPut, simulator.ops+"/ops/faults", `{"faults":[{"action":"down"}]}`, operator()); status != http.StatusOK {
				t.Fatalf("%d %s %v", status, body, err)
			}
			if _, _, err := send(t.Context(), http.MethodGet, simulator.api+"/livez", "", http.Header{}); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("down: %v", err)
			}
			if status, _, err := send(t.Context(), http.MethodGet, simulator.ops+"/livez", "", http.Header{}); status != http.StatusOK {
				t.Errorf("operators' port: %d %v", status, err)
			}
			if status, body, err := send(t.Context(), http.MethodDelete, simulator.ops+"/ops/faults", "", operator()); status != http.StatusOK {
				t.Fatalf("%d %s %v", status, body, err)
			}
			if status, _, err := send(t.Context(), http.MethodGet, simulator.api+"/livez", "", http.Header{}); status != http.StatusOK {
				t.Errorf("up again: %d %v", status, err)
			}
		}
	}
}

func TestHealth_ChecksOperatorsPorts(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	healthy := func() error {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "health")
		cmd.Env = append(slices.Clone(environment),
			"PROCESSOR_OPS_ADDR="+strings.TrimPrefix(p.processorOps, "http://127.0.0.1"),
			"CARRIER_OPS_ADDR="+strings.TrimPrefix(p.carrierOps, "http://"))
		return cmd.Run()
	}
	if err := healthy(); err != nil {
		t.Errorf("running: %v", err)
	}
	_ = p.stop(syscall.SIGKILL)
	if exit := (*exec.ExitError)(nil); !errors.As(healthy(), &exit) || exit.ExitCode() != 1 {
		t.Errorf("killed: %v", exit)
	}
}

func TestRun_FailsIfPortIsInUse(t *testing.T) {
	t.Parallel()
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	cfg, err := ConfigFromEnv(func(name string) string {
		return map[string]string{
			"DATA_DIR": t.TempDir(), "PROCESSOR_ADDR": "127.0.0.1:0", "PROCESSOR_OPS_ADDR": "127.0.0.1:0",
			"CARRIER_ADDR": "127.0.0.1:0", "CARRIER_OPS_ADDR": used.Addr().String(),
		}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}

func TestConfigFromEnv_DefaultsAndErrors(t *testing.T) {
	t.Parallel()
	got, err := ConfigFromEnv(func(string) string { return "" })
	want := Config{
		ProcessorAddr: ":8091", ProcessorOpsAddr: ":8093", ProcessorKey: "sk_test_quadrille",
		CarrierAddr: ":8092", CarrierOpsAddr: ":8094",
		CarrierDispatchDelay: 2 * time.Second, CarrierDeliveryDelay: 2 * time.Second, DataDir: "data",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s%v", diff, err)
	}
	_, err = ConfigFromEnv(func(name string) string {
		return map[string]string{
			"CARRIER_DISPATCH_DELAY": "soon", "CARRIER_DELIVERY_DELAY": "-1s", "CARRIER_WEBHOOK_URL": "http://localhost",
		}[name]
	})
	for _, name := range []string{"CARRIER_DISPATCH_DELAY", "CARRIER_DELIVERY_DELAY", "CARRIER_WEBHOOK_SECRET"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in %v", name, err)
		}
	}
}
