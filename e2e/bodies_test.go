package e2e

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// The container of the order service has the memory limit of docker-compose.yml here. The suite fails at its end if the kernel
// killed a process because of such a limit.
func TestBodies_FitInMemoryOfContainer(t *testing.T) {
	if os.Getenv("QUADRILLE_E2E") != "compose" {
		t.Skip("only containers have a memory limit")
	}
	restartOrder(t, "E2E_MEMORY_LIMIT=64m", "E2E_GOMEMLIMIT=56MiB")
	body := `{"customerId":"` + strings.Repeat("x", 1<<20-100) + `"}`
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 5 {
				resp, err := client.Post(stack.Order+"/api/v1/orders", "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if tooMany := resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != ""; !tooMany && resp.StatusCode/100 != 4 {
					t.Errorf("a body of 1 MiB: %s", resp.Status)
				}
			}
		})
	}
	all.Wait()
	sku := stack.addProduct(t, "dance-card", 3)
	stack.await(t, stack.place(t, newOrder(sku, 1)), "completed")
}
