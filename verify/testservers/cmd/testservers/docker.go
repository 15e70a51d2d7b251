package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

const (
	// pullTimeout is how long a missing image may take before the next way is tried.
	pullTimeout = 30 * time.Second
	// healthTimeout is how long an engine may take to answer.
	healthTimeout = 3 * time.Second
	// placeAttempts is how often other host ports are tried because somebody was faster.
	placeAttempts = 3
)

// Labels by which a container names the process it belongs to.
const (
	labelPID  = "quadrille.testservers.pid"
	labelHost = "quadrille.testservers.host"
)

// A recipe says how to run one kind of server in a container, and how to see that it answers.
type recipe struct {
	title     string
	image     string
	env       map[string]string
	command   []string
	ports     []string
	addresses func(host string, ports []int) map[string]string
	version   func(ctx context.Context, addresses map[string]string) (string, error)
}

func postgresInDocker(ctx context.Context) (server, error) {
	return runInDocker(ctx, recipe{
		title:   "PostgreSQL",
		image:   postgresImage,
		env:     map[string]string{"POSTGRES_HOST_AUTH_METHOD": "trust"},
		command: append([]string{"postgres"}, postgresSettings...),
		ports:   []string{"5432/tcp"},
		addresses: func(host string, ports []int) map[string]string {
			return map[string]string{envDatabase: postgresURL(host, ports[0])}
		},
		version: func(ctx context.Context, addresses map[string]string) (string, error) {
			return postgresVersion(ctx, addresses[envDatabase])
		},
	})
}

func rabbitmqInDocker(ctx context.Context) (server, error) {
	return runInDocker(ctx, recipe{
		title: "RabbitMQ",
		image: rabbitmqImage,
		env:   map[string]string{"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlangArguments},
		ports: []string{"5672/tcp", "15672/tcp"},
		addresses: func(host string, ports []int) map[string]string {
			return map[string]string{envAMQP: amqpURL(host, ports[0]), envManagement: managementURL(host, ports[1])}
		},
		version: func(ctx context.Context, addresses map[string]string) (string, error) {
			return rabbitmqVersion(ctx, addresses[envAMQP], addresses[envManagement])
		},
	})
}

// inDocker is a server in a container.
type inDocker struct {
	recipe      recipe
	provider    *testcontainers.DockerProvider
	container   testcontainers.Container
	environment map[string]string
	running     string // the server's version
}

func runInDocker(ctx context.Context, r recipe) (server, error) {
	provider, err := engine(ctx)
	if err != nil {
		return nil, err
	}
	if err := needImage(ctx, provider, r.image); err != nil {
		return nil, err
	}
	host, bind, err := whereToPublish(ctx, provider)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		s := &inDocker{recipe: r, provider: provider}
		err := s.create(ctx, host, bind)
		if err == nil {
			err = s.Start(ctx)
		}
		if err == nil {
			return s, nil
		}
		_ = s.Remove()
		if attempt == placeAttempts || ctx.Err() != nil || !strings.Contains(err.Error(), "port is already allocated") {
			return nil, fmt.Errorf("%s: %w", r.image, err)
		}
	}
}

// engine connects to the Docker engine, if one answers.
func engine(ctx context.Context) (*testcontainers.DockerProvider, error) {
	// Containers end with our standard input; the library's own reaper would be one more image to pull.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, err
	}
	log.SetDefault(silent{})
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithDefaultBridgeNetwork("bridge"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := provider.Health(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotHere, err)
	}
	return provider, nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// needImage pulls the image unless it is there.
func needImage(ctx context.Context, provider *testcontainers.DockerProvider, image string) error {
	if _, err := provider.Client().ImageInspect(ctx, image); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	pull, err := provider.Client().ImagePull(ctx, image, client.ImagePullOptions{})
	if err != nil {
		return fmt.Errorf("pulling %s: %w", image, err)
	}
	defer pull.Close()
	if _, err := io.Copy(io.Discard, pull); err != nil {
		return fmt.Errorf("pulling %s: %w", image, err)
	}
	if _, err := provider.Client().ImageInspect(ctx, image); err != nil {
		return fmt.Errorf("pulling %s: %w", image, err)
	}
	return nil
}

// whereToPublish returns the host under which containers' ports are reached from here, and the address on the
// engine's machine to open them on: no wider than it must be.
func whereToPublish(ctx context.Context, provider *testcontainers.DockerProvider) (host string, bind netip.Addr, err error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	socket := strings.HasPrefix(provider.Client().DaemonHost(), "unix:")
	_, overridden := os.LookupEnv("TESTCONTAINERS_HOST_OVERRIDE")
	if socket && !overridden && enginesBridgeIsHere() {
		return loopback.String(), loopback, nil
	}

	host, err = provider.DaemonHost(ctx)
	if err != nil {
		return "", netip.Addr{}, err
	}
	address, err := netip.ParseAddr(host)
	switch {
	case host == "localhost" || err == nil && address.IsLoopback():
		return loopback.String(), loopback, nil
	case err == nil && socket:
		return host, address, nil // We are a container beside the engine; this is the bridge between them.
	default:
		return host, netip.IPv4Unspecified(), nil
	}
}

// enginesBridgeIsHere says whether the engine shares this machine's network. A container that runs an engine of its
// own looks, by its files, like one beside the engine.
func enginesBridgeIsHere() bool {
	_, err := net.InterfaceByName("docker0")
	return err == nil
}

// create makes the container with fixed host ports, so that a later start finds the same ones.
func (s *inDocker) create(ctx context.Context, host string, bind netip.Addr) error {
	hostPorts, err := freePorts(len(s.recipe.ports))
	if err != nil {
		return err
	}
	bindings := network.PortMap{}
	for i, name := range s.recipe.ports {
		port, err := network.ParsePort(name)
		if err != nil {
			return err
		}
		bindings[port] = []network.PortBinding{{HostIP: bind, HostPort: strconv.Itoa(hostPorts[i])}}
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	s.environment = s.recipe.addresses(host, hostPorts)
	s.container, err = s.provider.CreateContainer(ctx, testcontainers.ContainerRequest{
		Image:        s.recipe.image,
		Env:          s.recipe.env,
		Cmd:          s.recipe.command,
		ExposedPorts: s.recipe.ports,
		Labels:       map[string]string{labelPID: strconv.Itoa(os.Getpid()), labelHost: hostname},
		HostConfigModifier: func(config *container.HostConfig) {
			config.PortBindings = bindings
		},
	})
	return err
}

func (s *inDocker) Start(ctx context.Context) error {
	if err := s.container.Start(ctx); err != nil {
		return err
	}
	err := awaitReady(ctx, nil, func(ctx context.Context) (err error) {
		s.running, err = s.recipe.version(ctx, s.environment)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, s.lastWords())
	}
	return nil
}

// lastWords is the end of the container's log.
func (s *inDocker) lastWords() string {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	logs, err := s.container.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	var words tail
	_, _ = io.Copy(&words, logs)
	return words.String()
}

func (s *inDocker) Stop(ctx context.Context) error { return s.container.Stop(ctx, nil) }

func (s *inDocker) Kill(ctx context.Context) error {
	if _, err := s.provider.Client().ContainerKill(ctx, s.container.GetContainerID(), client.ContainerKillOptions{}); err != nil {
		return err
	}
	// A killed container may need a moment to be seen as stopped, and its ports to be free.
	return s.container.Stop(ctx, nil)
}

func (s *inDocker) Remove() error {
	if s.container == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	return removeContainer(ctx, s.provider, s.container.GetContainerID())
}

func (s *inDocker) Environment() map[string]string { return s.environment }

func (s *inDocker) String() string {
	return fmt.Sprintf("%s %s, in Docker from %s", s.recipe.title, s.running, s.recipe.image)
}

func removeContainer(ctx context.Context, provider *testcontainers.DockerProvider, id string) error {
	_, err := provider.Client().ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
	return err
}

// removeLeftContainers removes containers whose process on this machine was killed.
func removeLeftContainers(ctx context.Context) {
	provider, err := engine(ctx)
	if err != nil {
		return
	}
	hostname, err := os.Hostname()
	if err != nil {
		return
	}
	filters := client.Filters{}.Add("label", labelHost+"="+hostname)
	list, err := provider.Client().ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return
	}
	for _, c := range list.Items {
		if !alive(c.Labels[labelPID]) {
			_ = removeContainer(ctx, provider, c.ID)
		}
	}
}

var (
	_ server = (*inDocker)(nil)
	_ server = (*postgresPrograms)(nil)
	_ server = (*rabbitmqPrograms)(nil)
)
