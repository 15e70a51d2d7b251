package program

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// TestMain runs a sample service instead of the tests if asService is set.
func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		defaults := sampleConfig{Config: chassis.Defaults(":8099")}
		os.Exit(execute("sample", defaults, runSample, os.Args[1:], os.Environ(), os.Stdout))
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	m.Run()
}

type sampleConfig struct {
	chassis.Config
	Greeting string `env:"GREETING"`
}

func (c sampleConfig) Validate() error {
	if c.Greeting == "" {
		return errors.New("GREETING is required")
	}
	return nil
}

const asService = "CHASSIS_TEST_AS_SERVICE"

func runSample(ctx context.Context, cfg sampleConfig) error {
	if cfg.Greeting == "fail" {
		return errors.New("sample error")
	}
	if cfg.Greeting == "wait" {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
	}
	router := httpapi.NewRouter(httpapi.RouterConfig{Service: "sample"})
	return chassis.Serve(ctx, cfg.Config, router)
}

func service(t *testing.T, args []string, environ ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), append([]string{
		asService + "=1", "HTTP_ADDR=127.0.0.1:0", "GREETING=hello",
		"DATABASE_URL=postgres://u:hunter2@db/x", "AMQP_URL=amqp://u:hunter2@mq",
	}, environ...)...)
	return cmd
}

func TestMain_ServesUntilSignal(t *testing.T) {
	t.Parallel()
	cmd := service(t, nil, "OTEL_TRACES_EXPORTER=console")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := address(t, bufio.NewScanner(out), "listening")

	if out, err := service(t, []string{"health"}, "HTTP_ADDR="+addr).CombinedOutput(); err != nil {
		t.Errorf("health: %v: %s", err, out)
	}
	if metrics := get(t, "http://"+addr+"/nowhere") + get(t, "http://"+addr+"/metrics"); !strings.Contains(metrics,
		"http_server_request_duration_seconds_count") || !strings.Contains(metrics, `service_name="sample"`) {
		t.Errorf("/metrics lacks the request durations or the service's name:\n%s", metrics)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v: %s", err, rest)
	}
	if n := strings.Count(string(rest), `"SpanContext"`); n != 1 {
		t.Errorf("one request worth tracing was exported as %d spans: %s", n, rest)
	}
	if err := service(t, []string{"health"}, "HTTP_ADDR="+addr).Run(); exitStatus(err) != 1 {
		t.Errorf("health of a stopped service: %v", err)
	}
}

// address reads log lines up to the one with this message, and returns its address.
func address(t *testing.T, lines *bufio.Scanner, message string) string {
	t.Helper()
	for lines.Scan() {
		var line struct{ Msg, Addr, Service string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Service != "sample" {
			t.Errorf("not a log line of the service: %s", lines.Bytes())
		}
		if line.Msg == message {
			return line.Addr
		}
	}
	t.Fatalf("the service ended before it logged %q", message)
	return ""
}

func TestMain_StartupHandler(t *testing.T) {
	t.Parallel()
	cmd := service(t, nil, "GREETING=wait")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	url := "http://" + address(t, lines, "starting")
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/livez":         {http.StatusOK, `{"status":"alive"}`},
		"/readyz":        {http.StatusServiceUnavailable, `{"status":"starting"}`},
		"/metrics":       {http.StatusServiceUnavailable, `"type":"https://quadrille.dev/problems/unavailable"`},
		"/api/v1/things": {http.StatusServiceUnavailable, `"instance":"/api/v1/things"`},
	} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want.status || !strings.Contains(string(body), want.body) {
			t.Errorf("%s: %d %s (%v)", path, resp.StatusCode, body, err)
		}
		if resp.Header.Get("X-Correlation-ID") == "" || resp.Header.Get("X-Request-ID") == "" {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
		if problem := strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json"); problem != (resp.Header.Get("Retry-After") != "") {
			t.Errorf("%s: headers %v", path, resp.Header)
		}
	}

	// Clients send requests all the time while the handler is replaced: none fails.
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if body := get(t, url+"/readyz"); !strings.Contains(body, `"starting"`) && !strings.Contains(body, `"ready"`) {
					t.Errorf("neither starting nor ready: %s", body)
				}
			}
		})
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	if got := "http://" + address(t, lines, "listening"); got != url {
		t.Errorf("address changed to %s", got)
	}
	waitUntil(t, "it is ready", func() bool { return strings.Contains(get(t, url+"/readyz"), `"ready"`) })
	close(stop)
	clients.Wait()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); err != nil {
		t.Error(err)
	} else if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v: %s", err, rest)
	}
}

func TestMain_ReportsMistakesWithoutSecrets(t *testing.T) {
	t.Parallel()
	out, err := service(t, nil, "HTTP_ADDR=nonsense", "AMQP_URL=", "GREETING=", "DATABASE_URL=mysql://u:hunter2@db").CombinedOutput()
	if exitStatus(err) != 2 {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"HTTP_ADDR", "AMQP_URL", "DATABASE_URL", "GREETING"} {
		if !strings.Contains(string(out), name) {
			t.Errorf("%s is not mentioned: %s", name, out)
		}
	}
	if strings.Contains(string(out), "hunter2") {
		t.Errorf("the password is shown: %s", out)
	}
}

func TestMain_FailsWithOneErrorLine(t *testing.T) {
	t.Parallel()
	out, err := service(t, nil, "GREETING=fail").CombinedOutput()
	if exitStatus(err) != 1 || strings.Count(string(out), `"level":"ERROR"`) != 1 || strings.Count(string(out), "sample error") != 1 {
		t.Errorf("got %v: %s", err, out)
	}
}

func TestMain_Subcommands(t *testing.T) {
	t.Parallel()
	if out, err := service(t, []string{"version"}).Output(); err != nil || !strings.HasPrefix(string(out), "sample ") {
		t.Errorf("version: %v: %s", err, out)
	}
	if out, err := service(t, []string{"unknown"}).CombinedOutput(); exitStatus(err) != 2 || !strings.Contains(string(out), "usage") {
		t.Errorf("unknown: %v: %s", err, out)
	}
}

func exitStatus(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
