// Command consumer checks that others can use what this repository publishes. It puts the modules contracts and
// pkg/events into a module proxy in a temporary folder and, in an empty module outside the workspace, gets them, tidies,
// builds and runs the first Go program of pkg/events/README.md. It prints nothing unless it fails.
//
//	consumer [ROOT]
//
// Modules that are not ours come from the module cache where it has them, and else from where the go command gets them.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const (
	prefix  = "github.com/quadrille-dev/quadrille/"
	version = "v0.1.0"
)

// published lists the modules that others may use, by their folders.
var published = []string{"contracts", "pkg/events"}

// standIn is used until pkg/events has a README.
const standIn = `package main

import (
	"errors"
	"fmt"

	"github.com/quadrille-dev/quadrille/contracts"
	"github.com/quadrille-dev/quadrille/pkg/events"
	_ "github.com/quadrille-dev/quadrille/pkg/events/inprocess"
	_ "github.com/quadrille-dev/quadrille/pkg/events/rabbitmq"
)

func main() {
	fmt.Println(contracts.OrderCreated{}.EventType(), events.Permanent(errors.New("an error")))
}
`

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := run(root); err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	dir, err := os.MkdirTemp("", "consumer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	proxy := filepath.Join(dir, "proxy")
	for _, folder := range published {
		if err := publish(proxy, prefix+folder, filepath.Join(root, filepath.FromSlash(folder))); err != nil {
			return fmt.Errorf("publish %s: %w", folder, err)
		}
	}
	readme, err := os.ReadFile(filepath.Join(root, "pkg", "events", "README.md"))
	if errors.Is(err, fs.ErrNotExist) {
		return consume(dir, proxy, standIn)
	}
	if err != nil {
		return err
	}
	program, err := firstProgram(string(readme))
	if err != nil {
		return fmt.Errorf("pkg/events/README.md: %w", err)
	}
	return consume(dir, proxy, program)
}

// publish writes the module in folder to a proxy as the version, as https://go.dev/ref/mod#goproxy-protocol says.
func publish(proxy, path, folder string) error {
	target := filepath.Join(proxy, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return err
	}
	info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, time.Now().UTC().Format(time.RFC3339))
	for name, content := range map[string]string{
		"list":            version + "\n",
		version + ".info": info,
		version + ".mod":  string(mod),
	} {
		if err := os.WriteFile(filepath.Join(target, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	archive, err := os.Create(filepath.Join(target, version+".zip"))
	if err != nil {
		return err
	}
	if err := zip.CreateFromDir(archive, module.Version{Path: path, Version: version}, folder); err != nil {
		archive.Close()
		return err
	}
	return archive.Close()
}

// consume makes a module of program in dir and does with it what a user would.
func consume(dir, proxy, program string) error {
	settings, err := goEnv("GOPROXY", "GOMODCACHE")
	if err != nil {
		return err
	}
	consumer := filepath.Join(dir, "consumer")
	if err := os.Mkdir(consumer, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(consumer, "main.go"), []byte(program), 0o644); err != nil {
		return err
	}
	// -trimpath lets the build cache serve the next run, whose folders have other names. The version exists, or will, with
	// another content: neither the module cache nor the checksum database
	// may be asked for it.
	env := append(os.Environ(),
		"GOWORK=off", "GOFLAGS=-modcacherw -trimpath", "GOPRIVATE=", "GONOPROXY=none", "GONOSUMDB="+prefix+"*",
		"GOMODCACHE="+filepath.Join(dir, "modules"),
		"GOPROXY="+strings.Join([]string{
			"file://" + filepath.ToSlash(proxy),
			"file://" + filepath.ToSlash(filepath.Join(settings[1], "cache", "download")),
			settings[0],
		}, ","),
		"PWD="+consumer)

	get := []string{"go", "get"}
	for _, folder := range published {
		get = append(get, prefix+folder+"@"+version)
	}
	for _, args := range [][]string{
		{"go", "mod", "init", "example.org/consumer"},
		get,
		{"go", "mod", "tidy"},
		{"go", "build", "./..."},
		{"go", "run", "."},
	} {
		command := exec.Command(args[0], args[1:]...)
		command.Dir, command.Env = consumer, env
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, withoutDownloads(string(output)))
		}
	}
	return nil
}

func goEnv(names ...string) ([]string, error) {
	output, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	return strings.Split(strings.TrimSpace(string(output)), "\n"), nil
}

// withoutDownloads removes the go command's reports of progress.
func withoutDownloads(output string) string {
	var kept strings.Builder
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "go: downloading ") && !strings.HasPrefix(line, "go: added ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
