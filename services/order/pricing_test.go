package order

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrice_SumsCurrentPrices(t *testing.T) {
	t.Parallel()
	items, total, fieldErrors := Price([]OrderLine{{"fan", 2}, {"gloves", 1}}, catalogue)
	if len(fieldErrors) > 0 {
		t.Fatal(fieldErrors)
	}
	if want := (Money{2*1250 + 1999, "EUR"}); total != want {
		t.Errorf("total = %v, want %v", total, want)
	}
	want := []Item{
		{SKU: "fan", Name: "Fan", Quantity: 2, UnitPrice: Money{1250, "EUR"}},
		{SKU: "gloves", Name: "Gloves", Quantity: 1, UnitPrice: Money{1999, "EUR"}},
	}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Error(diff)
	}
}

var catalogue = map[string]Product{
	"fan":    {SKU: "fan", Name: "Fan", Price: Money{1250, "EUR"}},
	"gloves": {SKU: "gloves", Name: "Gloves", Price: Money{1999, "EUR"}},
	"sabre":  {SKU: "sabre", Name: "Sabre", Price: Money{9000, "USD"}},
	"gone":   {SKU: "gone", Deleted: true},
	"leaf":   {SKU: "leaf", Name: "Leaf", Price: Money{0, "EUR"}},
	"crown":  {SKU: "crown", Name: "Crown", Price: Money{math.MaxInt64 / 2, "EUR"}},
	"debt":   {SKU: "debt", Name: "Debt", Price: Money{-5, "EUR"}},
}

func TestPrice_NamesInvalidFields(t *testing.T) {
	t.Parallel()
	many := make([]OrderLine, MaxItems+1)
	for _, c := range []struct {
		name   string
		lines  []OrderLine
		fields []string
	}{
		{"empty", nil, []string{"items"}},
		{"too many", many, []string{"items"}},
		{"no sku", []OrderLine{{"", 1}}, []string{"items[0].sku"}},
		{"unknown", []OrderLine{{"fan", 1}, {"unicorn", 1}}, []string{"items[1].sku"}},
		{"deleted", []OrderLine{{"fan", 1}, {"gone", 1}}, []string{"items[1].sku"}},
		{"nothing of it", []OrderLine{{"fan", 0}}, []string{"items[0].quantity"}},
		{"less than nothing", []OrderLine{{"fan", -1}}, []string{"items[0].quantity"}},
		{"too much of it", []OrderLine{{"fan", MaxQuantity + 1}}, []string{"items[0].quantity"}},
		{"repeated", []OrderLine{{"fan", 1}, {"gloves", 1}, {"fan", 2}}, []string{"items[2].sku"}},
		{"mixed currencies", []OrderLine{{"fan", 1}, {"sabre", 1}}, []string{"items[1].sku"}},
		{"for free", []OrderLine{{"leaf", 3}}, []string{"items"}},
		{"beyond counting, by quantity", []OrderLine{{"crown", 3}}, []string{"items"}},
		{"beyond counting, by sum", []OrderLine{{"crown", 2}, {"fan", 1}}, []string{"items"}},
		{"a negative price", []OrderLine{{"fan", 1}, {"debt", 1}}, []string{"items"}},
		{"several", []OrderLine{{"unicorn", 0}, {"fan", 1001}, {"", 1}}, []string{
			"items[0].quantity", "items[0].sku", "items[1].quantity", "items[2].sku",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			items, total, fieldErrors := Price(c.lines, catalogue)
			var fields []string
			for _, m := range fieldErrors {
				fields = append(fields, m.Field)
			}
			if diff := cmp.Diff(c.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if items != nil || total != (Money{}) {
				t.Errorf("a refused order has items %v and total %v", items, total)
			}
		})
	}
}

func TestPrice_LargestOrderDoesNotOverflow(t *testing.T) {
	t.Parallel()
	lines, catalogue := make([]OrderLine, MaxItems), map[string]Product{}
	for i := range lines {
		sku := string(rune('a'+i/26)) + string(rune('a'+i%26))
		lines[i] = OrderLine{sku, MaxQuantity}
		catalogue[sku] = Product{SKU: sku, Price: Money{math.MaxInt64 / MaxItems / MaxQuantity, "EUR"}}
	}
	_, total, fieldErrors := Price(lines, catalogue)
	if len(fieldErrors) > 0 || total.Amount != math.MaxInt64/MaxItems/MaxQuantity*MaxItems*MaxQuantity {
		t.Errorf("total = %d, fieldErrors = %v", total.Amount, fieldErrors)
	}
}
