package servicetest

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/pkg/chassis"
)

// CheckOpenAPI fails the test for every operation that the service serves without describing it, and for every operation
// that it describes without serving it. The service needs no database.
func CheckOpenAPI(t *testing.T, service chassis.Service) {
	t.Helper()
	r, err := service.Router(chassis.Config{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckOpenAPI(); err != nil {
		t.Error(err)
	}
}

// Decode returns the JSON of a response, which must have this status.
func Decode[T any](t *testing.T, rec *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var v T
	if rec.Code != status {
		t.Fatalf("status %d, want %d: %s", rec.Code, status, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	return v
}

// WantProblem checks that a response is problem details with this status. If fields are given, the problem must name
// exactly these, in any order.
func WantProblem(t *testing.T, rec *httptest.ResponseRecorder, status int, fields ...string) {
	t.Helper()
	if got := rec.Header().Get("Content-Type"); rec.Code != status || !strings.HasPrefix(got, "application/problem+json") {
		t.Errorf("status %d as %s, want a problem with %d: %s", rec.Code, got, status, rec.Body)
		return
	}
	var problem struct {
		Type   string
		Status int
		Errors []struct{ Field, Detail string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Type == "" || problem.Status != status {
		t.Errorf("not problem details: %s", rec.Body)
	}
	var named []string
	for _, e := range problem.Errors {
		named = append(named, e.Field)
	}
	slices.Sort(named)
	if diff := cmp.Diff(slices.Sorted(slices.Values(fields)), named); len(fields) > 0 && diff != "" {
		t.Errorf("fields (-want +got)\n%s", diff)
	}
}

// WaitUntil calls done repeatedly until it returns true. It ends the test after half a minute.
func WaitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	again, late := time.NewTicker(2*time.Millisecond), time.After(30*time.Second)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
