package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"

	"github.com/quadrille-dev/quadrille/services/inventory"
)

// composeService has the fields of a service in docker-compose.yml that the tests check.
type composeService struct {
	Build    any      `yaml:"build"`
	Profiles []string `yaml:"profiles"`
	MemLimit string   `yaml:"mem_limit"`
	Deploy   struct {
		Resources struct {
			Limits struct {
				Memory string `yaml:"memory"`
			} `yaml:"limits"`
		} `yaml:"resources"`
	} `yaml:"deploy"`
	Environment map[string]any `yaml:"environment"`
}

func composeServices(t *testing.T) map[string]composeService {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]composeService `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) == 0 {
		t.Fatal("no services")
	}
	return file.Services
}

// memory returns the service's limit in bytes, or zero.
func (s composeService) memory(t *testing.T) int64 {
	t.Helper()
	limit := s.MemLimit
	if limit == "" {
		limit = s.Deploy.Resources.Limits.Memory
	}
	if limit == "" {
		return 0
	}
	return parseSize(t, limit)
}

// parseSize parses sizes in the formats of Docker, Go and RabbitMQ: 64m, 56MiB and 1g are powers of two.
func parseSize(t *testing.T, size string) int64 {
	t.Helper()
	size = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(size), "b"), "i")
	if strings.HasSuffix(size, "m") || strings.HasSuffix(size, "g") || strings.HasSuffix(size, "k") {
		size += "ib"
	}
	n, err := humanize.ParseBytes(size)
	if err != nil {
		t.Fatalf("invalid size %q: %v", size, err)
	}
	return int64(n)
}

func TestCompose_MemoryLimits(t *testing.T) {
	t.Parallel()
	var together int64
	for name, service := range composeServices(t) {
		limit := service.memory(t)
		if limit < 16<<20 {
			t.Errorf("%s has a limit of %d bytes", name, limit)
		}
		if len(service.Profiles) == 0 {
			together += limit
		}
		if service.Build == nil {
			continue
		}
		// Without GOMEMLIMIT, the garbage collector starts too late. With one near the limit, it runs all the time.
		goal, _ := service.Environment["GOMEMLIMIT"].(string)
		if goal == "" {
			t.Errorf("%s has no GOMEMLIMIT", name)
		} else if part := float64(parseSize(t, goal)) / float64(limit); part > 0.95 {
			t.Errorf("%s: GOMEMLIMIT is %.2f of its limit", name, part)
		}
	}
	if together >= 1<<30 {
		t.Errorf("the limits of all services without a profile add up to %d MiB", together>>20)
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("may take %d MiB", together>>20); !strings.Contains(string(readme), want) {
		t.Errorf("the README does not contain %q", want)
	}
}

// The order service is ready once it has received the products that inventory creates at the start.
func TestCompose_AwaitsSeed(t *testing.T) {
	t.Parallel()
	services := composeServices(t)
	if services["inventory"].Environment["SEED_CATALOGUE"] != "true" {
		t.Error("inventory seeds no products")
	}
	if got, want := services["order"].Environment["ORDER_AWAIT_PRODUCTS"], strings.Join(inventory.SeedSKUs(), ","); got != want {
		t.Errorf("order awaits %v, want %s", got, want)
	}
}

func TestCompose_BrokerMemory(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "rabbitmq", "rabbitmq.conf"))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), "="); found && !strings.HasPrefix(lines.Text(), "#") {
			settings[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	limit := composeServices(t)["rabbitmq"].memory(t)
	if mark := parseSize(t, settings["vm_memory_high_watermark.absolute"]); mark < limit/2 || mark > limit*9/10 {
		t.Errorf("publishers are blocked at %d bytes of %d", mark, limit)
	}
	wal, err := strconv.ParseInt(settings["raft.wal_max_size_bytes"], 10, 64)
	if err != nil || 4*wal > limit {
		t.Errorf("the write-ahead log has a limit of %d bytes, of %d: %v", wal, limit, err)
	}
}
