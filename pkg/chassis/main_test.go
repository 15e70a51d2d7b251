package chassis_test

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
	"syscall"
	"testing"
	"time"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/testservers"
)

// TestMain lets the test binary play a service: with asService set, it is one.
func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		chassis.Main("sample", sampleDefaults(), runSample)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	testservers.Main(m)
}

const asService = "CHASSIS_TEST_AS_SERVICE"

func runSample(ctx context.Context, cfg sampleConfig) error {
	if cfg.Greeting == "fail" {
		return errors.New("told to fail")
	}
	router := chassis.NewRouter(chassis.RouterConfig{Service: "sample"})
	return chassis.Run(ctx, cfg.Config, router)
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

func TestMain_ServesUntilASignalAndKnowsItsHealth(t *testing.T) {
	t.Parallel()
	cmd := service(t, nil, "OTEL_TRACES_EXPORTER=console")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	addr := ""
	for addr == "" && lines.Scan() {
		var line struct{ Msg, Addr, Service string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Service != "sample" {
			t.Errorf("not a log line of the service: %s", lines.Bytes())
		}
		addr = line.Addr
	}
	if addr == "" {
		t.Fatal("it ended without listening")
	}

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

func TestMain_ReportsEveryMistakeWithoutSecrets(t *testing.T) {
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
	if exitStatus(err) != 1 || strings.Count(string(out), `"level":"ERROR"`) != 1 || strings.Count(string(out), "told to fail") != 1 {
		t.Errorf("got %v: %s", err, out)
	}
}

func TestMain_HasSubcommands(t *testing.T) {
	t.Parallel()
	if out, err := service(t, []string{"version"}).Output(); err != nil || !strings.HasPrefix(string(out), "sample ") {
		t.Errorf("version: %v: %s", err, out)
	}
	if out, err := service(t, []string{"dance"}).CombinedOutput(); exitStatus(err) != 2 || !strings.Contains(string(out), "usage") {
		t.Errorf("unknown: %v: %s", err, out)
	}
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
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
