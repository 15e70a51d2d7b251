package topology

import (
	"testing"
)

// The example of RabbitMQ's documentation of password hashes: https://www.rabbitmq.com/docs/passwords
func TestSalted(t *testing.T) {
	t.Parallel()
	const want = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
	if got := salted([]byte{0x90, 0x8D, 0xC6, 0x0A}, "test12"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	first := hash("order", "quadrille")
	if first != hash("order", "quadrille") {
		t.Error("the same twice gives two hashes")
	}
	for _, other := range []string{hash("payment", "quadrille"), hash("order", "quadrilles"), hash("orderquadrille", "")} {
		if other == first {
			t.Errorf("%s is not unique", other)
		}
	}
}
