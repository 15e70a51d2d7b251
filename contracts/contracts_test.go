package contracts_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/quadrille-dev/quadrille/contracts"
)

func TestEvents_ListsEveryEventOnce(t *testing.T) {
	t.Parallel()
	listed, types := map[string]bool{}, map[string]bool{}
	for _, declared := range contracts.Events {
		e := declared.ETO
		listed[reflect.TypeOf(e).Name()] = true
		if types[e.EventType()] {
			t.Errorf("two events are called %s", e.EventType())
		}
		types[e.EventType()] = true
	}
	// A type with an EventType method is an event.
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != "EventType" {
				continue
			}
			if name := f.Recv.List[0].Type.(*ast.Ident).Name; !listed[name] {
				t.Errorf("Events lacks %s", name)
			}
		}
	}
}

// The data of an event has the id of its aggregate, and nothing about how the event is sent.
func TestEvents_EncodeOnlyFields(t *testing.T) {
	t.Parallel()
	for _, declared := range contracts.Events {
		e := declared.ETO
		v := reflect.New(reflect.TypeOf(e)).Elem()
		key := "orderId"
		if f := v.FieldByName("OrderID"); f.IsValid() {
			f.SetString("the-id")
		} else {
			key = "sku"
			v.FieldByName("SKU").SetString("the-id")
		}
		if got := v.Interface().(contracts.ETO).Subject(); got != "the-id" {
			t.Errorf("%s: subject is %q", e.EventType(), got)
		}
		b, err := json.Marshal(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		var data map[string]any
		if err := json.Unmarshal(b, &data); err != nil {
			t.Fatal(err)
		}
		if data[key] != "the-id" {
			t.Errorf("%s: %s is not in %s", e.EventType(), key, b)
		}
		for name := range data {
			if strings.ToLower(name[:1]) != name[:1] {
				t.Errorf("%s: field %s begins with a capital", e.EventType(), name)
			}
		}
	}
}
