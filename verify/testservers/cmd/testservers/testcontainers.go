package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
	"github.com/testcontainers/testcontainers-go/modules/rabbitmq"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

const (
	// pullTimeout bounds pulling an image. After that, the next source of servers is tried.
	pullTimeout = 30 * time.Second
	// engineTimeout bounds small requests to the engine.
	engineTimeout = 3 * time.Second
	// portAttempts is the number of attempts to find host ports that are free on the engine's machine.
	portAttempts = 3
)

// runPostgresContainer starts PostgreSQL with the postgres module of testcontainers-go.
func runPostgresContainer(ctx context.Context) (server, error) {
	return runContainer(ctx, postgresImage, []string{"5432/tcp"}, func(ctx context.Context, s *containerServer) error {
		s.name = "PostgreSQL"
		s.environment, s.version = postgresAt(s.host, s.hostPorts[0])
		c, err := postgres.Run(ctx, postgresImage,
			testcontainers.WithEnv(map[string]string{"POSTGRES_HOST_AUTH_METHOD": "trust"}),
			testcontainers.WithCmd(append([]string{"postgres"}, postgresSettings...)...),
			testcontainers.WithWaitStrategy(s),
			s.customize(),
		)
		if c != nil { // also if it did not get ready
			s.container = c
		}
		return err
	})
}

// runRabbitMQContainer starts RabbitMQ with the rabbitmq module of testcontainers-go.
func runRabbitMQContainer(ctx context.Context) (server, error) {
	ports := []string{rabbitmq.DefaultAMQPPort, rabbitmq.DefaultHTTPPort}
	return runContainer(ctx, rabbitmqImage, ports, func(ctx context.Context, s *containerServer) error {
		s.name = "RabbitMQ"
		s.environment, s.version = rabbitmqAt(s.host, s.hostPorts[0], s.hostPorts[1])
		c, err := rabbitmq.Run(ctx, rabbitmqImage,
			testcontainers.WithEnv(map[string]string{"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlangArguments}),
			testcontainers.WithWaitStrategy(s),
			s.customize(),
		)
		if c != nil { // also if it did not get ready
			s.container = c
		}
		return err
	})
}

// runContainer finds the engine, the image and host ports, and then calls run, which sets the remaining fields of the
// server and starts its container.
func runContainer(ctx context.Context, image string, ports []string, run func(context.Context, *containerServer) error) (server, error) {
	provider, err := engine()
	if err != nil {
		return nil, err
	}
	if err := ensureImage(ctx, provider, image); err != nil {
		return nil, err
	}
	host, bind, err := publishedAddress(ctx, provider)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		s := &containerServer{provider: provider, image: image, host: host, bind: bind, ports: ports}
		if s.hostPorts, err = freePorts(len(ports)); err != nil {
			return nil, err
		}
		err := run(ctx, s)
		if err == nil {
			return s, nil
		}
		err = fmt.Errorf("%s: %w\n%s", image, err, s.log())
		_ = s.Remove()
		if attempt == portAttempts || ctx.Err() != nil || !strings.Contains(err.Error(), "port is already allocated") {
			return nil, err
		}
	}
}

// A containerServer is a server in a container. It is also the container's wait strategy.
type containerServer struct {
	provider  *testcontainers.DockerProvider
	image     string
	host      string     // where the published ports are reached
	bind      netip.Addr // the address on the engine's machine at which they are published
	ports     []string   // in the container
	hostPorts []int      // outside of it

	name        string
	environment map[string]string
	version     version
	container   testcontainers.Container
	running     string // the server's version
}

var _ wait.Strategy = (*containerServer)(nil)

// Labels of a container with the process that started it.
const (
	labelPID  = "quadrille.testservers.pid"
	labelHost = "quadrille.testservers.host"
)

// customize publishes the ports on fixed host ports, which a restart does not change, and sets the labels.
func (s *containerServer) customize() testcontainers.CustomizeRequestOption {
	return func(req *testcontainers.GenericContainerRequest) error {
		bindings := network.PortMap{}
		for i, name := range s.ports {
			port, err := network.ParsePort(name)
			if err != nil {
				return err
			}
			bindings[port] = []network.PortBinding{{HostIP: s.bind, HostPort: strconv.Itoa(s.hostPorts[i])}}
		}
		hostname, err := os.Hostname()
		if err != nil {
			return err
		}
		req.ExposedPorts = s.ports // The modules would expose more.
		req.HostConfigModifier = func(config *container.HostConfig) { config.PortBindings = bindings }
		labels := map[string]string{labelPID: strconv.Itoa(os.Getpid()), labelHost: hostname}
		return testcontainers.WithLabels(labels)(req)
	}
}

// WaitUntilReady blocks until the server accepts connections. The modules' own strategies look for a line in the log,
// which after a restart still has the line of the first start.
func (s *containerServer) WaitUntilReady(ctx context.Context, target wait.StrategyTarget) (err error) {
	s.running, err = awaitVersion(ctx, s.version, func(ctx context.Context) bool {
		state, err := target.State(ctx)
		return err == nil && !state.Running
	})
	return err
}

func (s *containerServer) Environment() map[string]string { return s.environment }

func (s *containerServer) String() string {
	return fmt.Sprintf("%s %s, in Docker from %s", s.name, s.running, s.image)
}

func (s *containerServer) Start(ctx context.Context) error {
	if err := s.container.Start(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, s.log())
	}
	return nil
}

func (s *containerServer) Stop(ctx context.Context) error { return s.container.Stop(ctx, nil) }

func (s *containerServer) Kill(ctx context.Context) error {
	id := s.container.GetContainerID()
	if _, err := s.provider.Client().ContainerKill(ctx, id, client.ContainerKillOptions{}); err != nil {
		return err
	}
	return s.container.Stop(ctx, nil) // blocks until the engine has released the ports
}

func (s *containerServer) Remove() error {
	return testcontainers.TerminateContainer(s.container, testcontainers.StopTimeout(0))
}

// log returns the end of the container's log.
func (s *containerServer) log() string {
	if s.container == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	logs, err := s.container.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	var tail servers.Tail
	_, _ = io.Copy(&tail, logs)
	return tail.String()
}

// engine connects to the Docker engine, if one is reachable.
var engine = sync.OnceValues(func() (*testcontainers.DockerProvider, error) {
	// The reaper of testcontainers-go is one more image to pull. The end of standard input does its work.
	if err := setDefault("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, err
	}
	log.SetDefault(stdlog.New(io.Discard, "", 0))
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithDefaultBridgeNetwork("bridge"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	if err := provider.Health(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	// testcontainers-go takes a container that runs an engine of its own for a container beside the engine, and would
	// use the address of the bridge. If the bridge is an interface of this machine, the loopback interface will do.
	if _, err := net.InterfaceByName("docker0"); err == nil && onSocket(provider) {
		if err := setDefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1"); err != nil {
			return nil, err
		}
	}
	return provider, nil
})

// setDefault sets an environment variable unless it is set.
func setDefault(name, value string) error {
	if _, set := os.LookupEnv(name); set {
		return nil
	}
	return os.Setenv(name, value)
}

func onSocket(provider *testcontainers.DockerProvider) bool {
	return strings.HasPrefix(provider.Client().DaemonHost(), "unix:")
}

// ensureImage pulls the image unless the engine has it. The pull of testcontainers-go itself would retry without a
// limit of its own.
func ensureImage(ctx context.Context, provider *testcontainers.DockerProvider, image string) error {
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

// publishedAddress returns the host at which containers' ports are reached from here, and the address on the engine's
// machine at which they must be published for that: the loopback interface if possible.
func publishedAddress(ctx context.Context, provider *testcontainers.DockerProvider) (host string, bind netip.Addr, err error) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	host, err = provider.DaemonHost(ctx)
	if err != nil {
		return "", netip.Addr{}, err
	}
	address, err := netip.ParseAddr(host)
	switch {
	case host == "localhost" || err == nil && address.IsLoopback():
		return loopback.String(), loopback, nil
	case err == nil && onSocket(provider):
		return host, address, nil // This process is in a container beside the engine; the address is that of the bridge.
	default:
		return host, netip.IPv4Unspecified(), nil
	}
}

// removeAbandonedContainers removes the containers of earlier processes on this machine that were killed.
func removeAbandonedContainers() {
	if os.Getenv(servers.Source) == servers.FromLocal {
		return
	}
	provider, err := engine()
	if err != nil {
		return
	}
	hostname, err := os.Hostname()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	filters := client.Filters{}.Add("label", labelHost+"="+hostname)
	list, err := provider.Client().ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return
	}
	for _, c := range list.Items {
		if ended(c.Labels[labelPID]) {
			options := client.ContainerRemoveOptions{RemoveVolumes: true, Force: true}
			_, _ = provider.Client().ContainerRemove(ctx, c.ID, options)
		}
	}
}
