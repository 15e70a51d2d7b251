package checks

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// observers lists the services of the compose profile observability.
var observers = []string{"prometheus", "grafana", "jaeger", "reconcile"}

// project returns docker-compose.yml as docker compose loads it with the given profiles.
func project(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCompose_ObserversHaveOwnProfile(t *testing.T) {
	t.Parallel()
	core, all := project(t).ServiceNames(), project(t, "observability").ServiceNames()
	for _, name := range observers {
		if slices.Contains(core, name) || !slices.Contains(all, name) {
			t.Errorf("%s: services without a profile: %v, with observability: %v", name, core, all)
		}
	}
	for _, s := range project(t).Services {
		for dependency := range s.DependsOn {
			if slices.Contains(observers, dependency) {
				t.Errorf("%s depends on %s", s.Name, dependency)
			}
		}
	}
}

func TestCompose_PublishesOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, s := range project(t, "*").Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", s.Name, port.Published, port.HostIP)
			}
		}
	}
}

func TestCompose_ObserversHaveLimitAndVersion(t *testing.T) {
	t.Parallel()
	services := project(t, "observability").Services
	for _, name := range observers {
		s := services[name]
		if s.MemLimit <= 0 {
			t.Errorf("%s has no memory limit", name)
		}
		if _, version, ok := strings.Cut(s.Image, ":"); s.Build == nil && (!ok || version == "latest") {
			t.Errorf("%s has the image %q", name, s.Image)
		}
	}
}

// The services export spans only if OTEL_EXPORTER_OTLP_ENDPOINT is set.
func TestCompose_ExportsNoSpansByDefault(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"order", "inventory", "payment", "shipping"} {
		endpoint, ok := project(t).Services[name].Environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
		if !ok || endpoint == nil || *endpoint != "" {
			t.Errorf("%s: OTEL_EXPORTER_OTLP_ENDPOINT is %v", name, endpoint)
		}
	}
}

// A service that is stopped must have the time that its settings promise before it is killed.
func TestCompose_GracePeriodFitsShutdown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"order", "inventory", "payment", "shipping"} {
		s := project(t).Services[name]
		delay, err := time.ParseDuration(*s.Environment["SHUTDOWN_DELAY"])
		if err != nil {
			t.Fatal(err)
		}
		needed := delay + chassis.Defaults("").ShutdownTimeout
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < needed || delay <= 0 {
			t.Errorf("%s has %v to stop, but needs up to %v", name, s.StopGracePeriod, needed)
		}
	}
}

// mountSource returns the file of the repository that is mounted at a path of a container.
func mountSource(s types.ServiceConfig, path string) (source string, ok bool) {
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind && (path == v.Target || strings.HasPrefix(path, v.Target+"/")) {
			return v.Source + strings.TrimPrefix(path, v.Target), true
		}
	}
	return "", false
}

type datasource struct {
	Name, UID, Type, Access, URL string
	IsDefault                    bool `yaml:"isDefault"`
	JSONData                     struct {
		TimeInterval string `yaml:"timeInterval"`
		HTTPMethod   string `yaml:"httpMethod"`
	} `yaml:"jsonData"`
}

func datasources(t *testing.T) []datasource {
	t.Helper()
	var file struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []datasource
	}
	decode(t, "../grafana/provisioning/datasources/quadrille.yaml", &file)
	if file.APIVersion != 1 || len(file.Datasources) == 0 {
		t.Fatalf("unexpected datasources: %+v", file)
	}
	return file.Datasources
}

// The datasources of Grafana are services of the compose file, and its files are mounted.
func TestGrafana_SourcesAndFilesExist(t *testing.T) {
	t.Parallel()
	services := project(t, "observability").Services
	grafana := services["grafana"]
	for _, s := range datasources(t) {
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := services[u.Hostname()]; !ok {
			t.Errorf("datasource %s: the compose file has no service for %s", s.Name, s.URL)
		}
	}
	var provided struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type string
			DisableDeletion    bool `yaml:"disableDeletion"`
			AllowUIUpdates     bool `yaml:"allowUiUpdates"`
			Options            struct{ Path string }
		}
	}
	decode(t, "../grafana/provisioning/dashboards/quadrille.yaml", &provided)
	files := []string{
		"/etc/grafana/provisioning/datasources/quadrille.yaml", "/etc/grafana/provisioning/dashboards/quadrille.yaml",
		*grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"],
	}
	for _, p := range provided.Providers {
		files = append(files, p.Options.Path)
	}
	for _, file := range files {
		source, ok := mountSource(grafana, file)
		if _, err := os.Stat(source); !ok || err != nil {
			t.Errorf("%s is not mounted in grafana (%q: %v)", file, source, err)
		}
	}
}

type scrapeConfig struct {
	JobName       string              `yaml:"job_name"`
	HonorLabels   bool                `yaml:"honor_labels"`
	MetricsPath   string              `yaml:"metrics_path"`
	Params        map[string][]string `yaml:"params"`
	StaticConfigs []struct {
		Targets []string
		Labels  map[string]string
	} `yaml:"static_configs"`
}

// Prometheus scrapes every program that serves metrics, and labels it with its compose service.
func TestPrometheus_ScrapesEveryService(t *testing.T) {
	t.Parallel()
	var file struct {
		Global        map[string]string
		RuleFiles     []string       `yaml:"rule_files"`
		ScrapeConfigs []scrapeConfig `yaml:"scrape_configs"`
	}
	decode(t, "../prometheus/prometheus.yml", &file)
	scraped := map[string]bool{}
	services := project(t, "observability").Services
	for _, job := range file.ScrapeConfigs {
		for _, s := range job.StaticConfigs {
			for _, target := range s.Targets {
				host, port, _ := strings.Cut(target, ":")
				service, ok := services[host]
				if !ok || s.Labels["service"] != host {
					t.Errorf("%s: target %s has the label service=%q", job.JobName, target, s.Labels["service"])
				}
				if address := service.Environment["HTTP_ADDR"]; address != nil && *address != ":"+port {
					t.Errorf("%s: Prometheus scrapes %s, but HTTP_ADDR is %s", host, target, *address)
				}
				scraped[host] = true
			}
		}
	}
	for _, name := range []string{"order", "inventory", "payment", "shipping", "reconcile", "rabbitmq"} {
		if !scraped[name] {
			t.Errorf("Prometheus does not scrape %s", name)
		}
	}
	for _, d := range datasources(t) {
		if d.Type == "prometheus" && d.JSONData.TimeInterval != file.Global["scrape_interval"] {
			t.Errorf("Grafana has the scrape interval %s, Prometheus has %s", d.JSONData.TimeInterval, file.Global["scrape_interval"])
		}
	}
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(read(t, path))))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
