package reconcile

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quadrille-dev/quadrille/contracts/audit"
)

// The keys of the entries are the names that the services write.
func TestEntries_ListNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		entries any
		want    []string
	}{
		{orderEntries{}, []string{audit.Orders}},
		{inventoryEntries{}, []string{audit.Products, audit.Reservations}},
		{paymentEntries{}, []string{audit.Payments}},
		{shippingEntries{}, []string{audit.Shipments}},
	} {
		text, err := json.Marshal(test.entries)
		if err != nil {
			t.Fatal(err)
		}
		var lists map[string]any
		if err := json.Unmarshal(text, &lists); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, slices.Sorted(maps.Keys(lists))); diff != "" {
			t.Errorf("%T: %s", test.entries, diff)
		}
	}
}
