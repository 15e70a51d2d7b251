package e2e

import (
	"bytes"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// watchMemory has Docker tell of every container that lost a process because it took more memory than it may. Ended, it
// answers which.
func watchMemory() (end func() []string, err error) {
	var told bytes.Buffer
	events := exec.Command("docker", "events", "--filter", "event=oom", "--filter", "label=com.docker.compose.project=quadrille",
		"--format", `{{index .Actor.Attributes "com.docker.compose.service"}}`)
	events.Stdout = &told
	if err := events.Start(); err != nil {
		return nil, err
	}
	return func() []string {
		_ = events.Process.Kill() // it may have ended with the engine
		_ = events.Wait()         // killed
		services := map[string]bool{}
		for _, service := range strings.Fields(told.String()) {
			services[service] = true
		}
		return slices.Sorted(maps.Keys(services))
	}, nil
}
