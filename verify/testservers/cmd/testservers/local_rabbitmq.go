package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// erlangArguments limit the CPU use of an idle broker: two schedulers without busy waiting.
const erlangArguments = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"

// A localRabbitMQ is a RabbitMQ that runs as a program of this machine, with an epmd, the name server of Erlang nodes, of
// its own.
type localRabbitMQ struct {
	script      string
	folder      string
	ports       struct{ amqp, management, distribution, epmd int }
	owner       *syscall.Credential
	broker      *process
	epmd        *process
	environment map[string]string
	version     version
	running     string // the broker's version
}

func startLocalRabbitMQ(ctx context.Context) (server, error) {
	script, err := rabbitmqScript()
	if err != nil {
		return nil, err
	}
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		return nil, fmt.Errorf("epmd: %w", errUnavailable)
	}
	owner, err := unprivileged("rabbitmq", "nobody")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	folder, err := dataFolder(owner)
	if err != nil {
		return nil, err
	}
	s := &localRabbitMQ{script: script, folder: folder, owner: owner}
	s.ports.amqp, s.ports.management, s.ports.distribution, s.ports.epmd = ports[0], ports[1], ports[2], ports[3]
	s.environment, s.version = rabbitmqAt("127.0.0.1", s.ports.amqp, s.ports.management)
	err = s.configure()
	if err == nil {
		// In the foreground: a daemon that the node starts by itself would never end.
		s.epmd, err = startProcess(exec.Command(epmd, "-port", strconv.Itoa(s.ports.epmd), "-address", "127.0.0.1"),
			owner, syscall.SIGKILL)
	}
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		_ = s.Remove()
		return nil, err
	}
	return s, nil
}

// rabbitmqScript returns the program that starts a broker. Debian's program in PATH is a wrapper that only runs as root or
// rabbitmq and logs to fixed files; the original is elsewhere.
func rabbitmqScript() (string, error) {
	const debian = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(debian); err == nil {
		return debian, nil
	}
	path, err := exec.LookPath("rabbitmq-server")
	if err != nil {
		return "", fmt.Errorf("rabbitmq-server: %w", errUnavailable)
	}
	return path, nil
}

func (s *localRabbitMQ) path(name string) string { return filepath.Join(s.folder, name) }

func (s *localRabbitMQ) configure() error {
	settings := fmt.Sprintf(`listeners.tcp.local = 127.0.0.1:%d
management.tcp.ip = 127.0.0.1
management.tcp.port = %d
log.console = true
log.console.level = warning
log.file = false
raft.wal_max_size_bytes = 67108864
`, s.ports.amqp, s.ports.management)
	return errors.Join(
		os.WriteFile(s.path("rabbitmq.conf"), []byte(settings), 0o644),
		os.WriteFile(s.path("enabled_plugins"), []byte("[rabbitmq_management].\n"), 0o644),
		os.WriteFile(s.path("rabbitmq-env.conf"), nil, 0o644),
	)
}

func (s *localRabbitMQ) Start(ctx context.Context) (err error) {
	cmd := exec.Command(s.script)
	cmd.Dir = s.folder
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + s.folder, // for the Erlang cookie
		"LANG=C.UTF-8",
		"ERL_EPMD_PORT=" + strconv.Itoa(s.ports.epmd),
		"RABBITMQ_NODENAME=quadrille-" + strconv.Itoa(s.ports.amqp) + "@localhost",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(s.ports.distribution),
		"RABBITMQ_CONF_ENV_FILE=" + s.path("rabbitmq-env.conf"),
		"RABBITMQ_CONFIG_FILE=" + s.path("rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + s.path("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + s.path("data"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + s.path("generated"),
		"RABBITMQ_SCHEMA_DIR=" + s.path("schema"),
		"RABBITMQ_LOG_BASE=" + s.path("log"),
		"RABBITMQ_PID_FILE=" + s.path("pid"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} " + erlangArguments,
		// The script then replaces itself by the broker instead of starting a child, so that the broker gets signals.
		"RUNNING_UNDER_SYSTEMD=true",
	}
	if s.broker, err = startProcess(cmd, s.owner, syscall.SIGKILL); err != nil {
		return err
	}
	if s.running, err = awaitVersion(ctx, s.version, s.broker.stopped); err != nil {
		return fmt.Errorf("rabbitmq-server: %w\n%s", err, s.broker.output)
	}
	return nil
}

func (s *localRabbitMQ) Stop(ctx context.Context) error { return s.broker.end(ctx, syscall.SIGTERM) }

func (s *localRabbitMQ) Kill(ctx context.Context) error { return s.broker.end(ctx, syscall.SIGKILL) }

func (s *localRabbitMQ) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	return errors.Join(s.Kill(ctx), s.epmd.end(ctx, syscall.SIGKILL), os.RemoveAll(s.folder))
}

func (s *localRabbitMQ) Environment() map[string]string { return s.environment }

func (s *localRabbitMQ) String() string {
	return fmt.Sprintf("RabbitMQ %s, from %s", s.running, s.script)
}
