package chassis_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
	"github.com/quadrille-dev/quadrille/pkg/chassis/httpapi"
)

// memoryLimit is the limit of a service's container in docker-compose.yml, in KiB. GOMEMLIMIT is as there.
const memoryLimit = 64 << 10

// TestServe_LargeBodiesFitInMemory sends bodies of the largest size from many clients at once to a process of its own, and reads
// from Linux how much memory that process had at most.
func TestServe_LargeBodiesFitInMemory(t *testing.T) {
	if os.Getenv("CHASSIS_TEST_SERVE") != "" {
		serveNotes(t)
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("only Linux says how much memory a process had")
	}
	if raceEnabled {
		t.Skip("the race detector takes a multiple of the memory")
	}
	process := exec.Command(os.Args[0], "-test.run=^TestServe_LargeBodiesFitInMemory$")
	process.Env = append(os.Environ(), "CHASSIS_TEST_SERVE=true", "GOMEMLIMIT=56MiB")
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url = strings.TrimSpace(url) + "/api/v1/notes"

	body := `{"note":"` + strings.Repeat("x", httpapi.MaxBody-100) + `"}`
	const clients, each = 64, 10
	var accepted, rejected atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				resp, err := http.Post(url, "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				switch {
				case resp.StatusCode == http.StatusNoContent:
					accepted.Add(1)
				case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
					rejected.Add(1)
				default:
					t.Errorf("got %s", resp.Status)
				}
			}
		})
	}
	all.Wait()
	peak := peakMemory(t, process.Process.Pid)
	t.Logf("%d bodies accepted, %d rejected, at most %d KiB", accepted.Load(), rejected.Load(), peak)
	if accepted.Load() == 0 || peak > memoryLimit {
		t.Errorf("%d bodies accepted with %d KiB, want some with at most %d KiB", accepted.Load(), peak, memoryLimit)
	}
}

// serveNotes serves until it is killed, and prints its address.
func serveNotes(t *testing.T) {
	router := httpapi.NewRouter(httpapi.RouterConfig{})
	router.API.POST("/notes", httpapi.Handle(func(c *gin.Context) error {
		var v struct {
			Note string `json:"note"`
		}
		if err := httpapi.DecodeJSON(c, &v); err != nil {
			return err
		}
		c.Status(http.StatusNoContent)
		return nil
	}))
	cfg := chassis.Config{HTTPAddr: "127.0.0.1:0", OnListen: func(a net.Addr) { fmt.Printf("http://%s\n", a) }}
	if err := chassis.Serve(context.Background(), cfg, router); err != nil {
		t.Error(err)
	}
}

// peakMemory returns the largest resident size that a process has had, in KiB, without the pages of its program file, which
// the kernel can drop at any time.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) (kib int) {
		_, rest, _ := strings.Cut(string(status), "\n"+name+":")
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			t.Fatalf("%s: %v in %s", name, err, status)
		}
		return kib
	}
	return field("VmHWM") - field("RssFile")
}
