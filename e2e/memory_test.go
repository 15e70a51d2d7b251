package e2e

import (
	"bytes"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// watchMemory watches Docker's events for containers that exceed their memory limits. end stops that and returns the names
// of their services.
func watchMemory() (end func() []string, err error) {
	var names bytes.Buffer
	events := exec.Command("docker", "events", "--filter", "event=oom", "--filter", "label=com.docker.compose.project=quadrille",
		"--format", `{{index .Actor.Attributes "com.docker.compose.service"}}`)
	events.Stdout = &names
	if err := events.Start(); err != nil {
		return nil, err
	}
	return func() []string {
		_ = events.Process.Kill() // the command ends by itself if the engine stops
		_ = events.Wait()         // killed
		services := map[string]bool{}
		for service := range strings.FieldsSeq(names.String()) {
			services[service] = true
		}
		return slices.Sorted(maps.Keys(services))
	}, nil
}
