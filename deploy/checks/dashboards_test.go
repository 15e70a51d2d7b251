package checks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard holds the fields of Grafana's model that the dashboards may have. The decoder rejects any other field, such as
// those that an export adds.
type dashboard struct {
	UID, Title, Description, Refresh string
	Tags                             []string
	SchemaVersion                    int
	Time                             struct{ From, To string }
	Links                            []struct {
		Type, Title, URL, Icon string
		Tags                   []string
		KeepTime, TargetBlank  bool
	}
	Annotations struct{ List []annotation }
	Templating  struct{ List []variable }
	Panels      []panel
}

type source struct{ Type, UID string }

type annotation struct {
	Name, IconColor, Expr, Step, TitleFormat string
	Datasource                               source
	Enable                                   bool
}

type variable struct {
	Name, Label, Type, AllValue string
	Datasource                  source
	Query                       struct{ RefID, Query string }
	Refresh, Sort               int
	Multi, IncludeAll           bool
	Current                     struct{ Text, Value string }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Collapsed                bool
	Panels                   []panel
	Datasource               source
	Targets                  []struct{ RefID, Expr, LegendFormat string }
	FieldConfig, Options     json.RawMessage
}

// dashboards returns all dashboards by file name.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("../grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("found no dashboards", err)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		var d dashboard
		if err := decoder.Decode(&d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// panelExpressions returns the queries of all panels, annotations and variables, with values for Grafana's variables.
func panelExpressions(t *testing.T) (all []expression) {
	t.Helper()
	fill := strings.NewReplacer("$__rate_interval", "1m", "$__range", "15m", "$service", ".*")
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				all = append(all, expression{file + ", " + p.Title, fill.Replace(target.Expr)})
			}
		}
		for _, a := range d.Annotations.List {
			all = append(all, expression{file + ", annotation " + a.Name, fill.Replace(a.Expr)})
		}
		for _, v := range d.Templating.List {
			query := regexp.MustCompile(`^label_values\((.*), \w+\)$`).FindStringSubmatch(v.Query.Query)
			if query == nil {
				t.Errorf("%s: variable %s has an unexpected query: %s", file, v.Name, v.Query.Query)
				continue
			}
			all = append(all, expression{file + ", variable " + v.Name, query[1]})
		}
	}
	return all
}

func TestDashboards_HaveStableNames(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for file, d := range dashboards(t) {
		got[file] = d.UID
		if d.Title == "" || d.Description == "" || !slices.Contains(d.Tags, "quadrille") {
			t.Errorf("%s: title %q, description %q, tags %v", file, d.Title, d.Description, d.Tags)
		}
	}
	if want := map[string]string{"orders.json": "quadrille-orders", "messaging.json": "quadrille-messaging"}; !maps.Equal(got, want) {
		t.Errorf("dashboards are %v, want %v: a new UID breaks links to the dashboard", got, want)
	}
}

func TestDashboards_UseProvisionedDatasources(t *testing.T) {
	t.Parallel()
	provisioned := map[source]bool{}
	for _, s := range datasources(t) {
		provisioned[source{s.Type, s.UID}] = true
	}
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			if p.Type != "row" && !provisioned[p.Datasource] {
				t.Errorf("%s, %s: datasource %+v", file, p.Title, p.Datasource)
			}
		}
		for _, a := range d.Annotations.List {
			if !provisioned[a.Datasource] {
				t.Errorf("%s, %s: datasource %+v", file, a.Name, a.Datasource)
			}
		}
		for _, v := range d.Templating.List {
			if !provisioned[v.Datasource] {
				t.Errorf("%s, %s: datasource %+v", file, v.Name, v.Datasource)
			}
		}
	}
}

// Each panel has a unique id, a unique title, a query, and a position that no other panel covers.
func TestDashboards_HaveValidPanels(t *testing.T) {
	t.Parallel()
	for file, d := range dashboards(t) {
		ids, titles, covered := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			name := fmt.Sprintf("%s, panel %d (%s)", file, p.ID, p.Title)
			if ids[p.ID] || titles[p.Title] || p.ID == 0 || p.Title == "" {
				t.Errorf("%s: id and title must be set and unique", name)
			}
			ids[p.ID], titles[p.Title] = true, true
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s has no query", name)
			}
			refs := map[string]bool{}
			for _, target := range p.Targets {
				if refs[target.RefID] || target.RefID == "" {
					t.Errorf("%s: refId %q is empty or not unique", name, target.RefID)
				}
				refs[target.RefID] = true
			}
			g := p.GridPos
			if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
				t.Errorf("%s has the invalid position %+v", name, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := covered[[2]int{x, y}]; other != "" {
						t.Fatalf("%s covers %s", name, other)
					}
					covered[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}
