package embedded

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// firstOrder is that of the README.
const firstOrder = `{"customerId": "ada", "items": [{"sku": "dance-shoes", "quantity": 1}], "paymentMethod": "pm_card_visa",
	"shippingAddress": {"name": "Ada", "street": "1 Ball Street", "city": "Vienna", "postalCode": "1010", "country": "AT"}}`

// The first order is accepted at the moment at which the order service of a new stack is ready. Until then it may be
// refused for now, but not for good.
func TestRun_FirstOrder(t *testing.T) {
	for i := range 3 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			at := freeAddresses(t)
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, Config{Dir: t.TempDir(), Addresses: at, Environ: []string{"LOG_LEVEL=error"}})
			}()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			deadline := time.Now().Add(time.Minute)
			for try := 0; ; try++ {
				if time.Now().After(deadline) {
					t.Fatal("the order service does not become ready")
				}
				ready := call(t, http.MethodGet, "http://"+at.Order+"/readyz", "") == http.StatusOK
				status := call(t, http.MethodPost, "http://"+at.Order+"/api/v1/orders", firstOrder)
				switch {
				case status == http.StatusAccepted:
					if ready {
						return
					}
				case ready || status != http.StatusServiceUnavailable && status != 0:
					t.Fatalf("ready: %t, status of the order: %d", ready, status)
				}
			}
		})
	}
}

// call returns the status, or 0 if no connection was made.
func call(t *testing.T, method, url, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "my-first-order")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func freeAddresses(t *testing.T) (a Addresses) {
	t.Helper()
	for _, address := range []*string{&a.Order, &a.Inventory, &a.Payment, &a.Shipping, &a.Processor, &a.ProcessorOps, &a.Carrier, &a.CarrierOps, &a.Broker} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		*address = listener.Addr().String()
	}
	return a
}
