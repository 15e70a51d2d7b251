package processor

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// maxAmount is the largest amount that Stripe accepts, in minor units.
const maxAmount = 99_999_999

// form holds the parameters of a request, which Stripe's API expects form-encoded.
type form struct{ values url.Values }

func readForm(w http.ResponseWriter, r *http.Request) (form, *apiError) {
	if r.Method == http.MethodGet {
		return form{r.URL.Query()}, nil
	}
	body, err := wire.ReadBody(w, r)
	if err != nil {
		return form{}, newInvalidRequest(wire.StatusFor(err, http.StatusBadRequest), "", "", err.Error())
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, newInvalidRequest(http.StatusBadRequest, "", "", "The body is not form-encoded: "+err.Error())
	}
	return form{values}, nil
}

// checkNames returns an error if a parameter is not one of names. A name that ends in [] stands for a group, such as
// metadata[] for metadata[order_id].
func (f form) checkNames(names ...string) *apiError {
	for parameter := range f.values {
		name, _, group := strings.Cut(parameter, "[")
		if group {
			name += "[]"
		}
		if !slices.Contains(names, name) {
			return newInvalidRequest(http.StatusBadRequest, "parameter_unknown", parameter, "Unknown parameter: "+parameter+".")
		}
	}
	return nil
}

func (f form) get(name string) string { return f.values.Get(name) }

// group returns the parameters of the form name[key], by key.
func (f form) group(name string) map[string]string {
	group := map[string]string{}
	for parameter, values := range f.values {
		if key, ok := strings.CutPrefix(parameter, name+"["); ok {
			group[strings.TrimSuffix(key, "]")] = values[0]
		}
	}
	return group
}

// amount parses a positive integer. It returns 0 if the parameter is absent.
func (f form) amount(name string) (int64, *apiError) {
	if !f.values.Has(name) {
		return 0, nil
	}
	amount, err := strconv.ParseInt(f.get(name), 10, 64)
	if err != nil || amount < 1 {
		return 0, newInvalidRequest(http.StatusBadRequest, "parameter_invalid_integer", name, "Invalid positive integer: "+name+".")
	}
	if amount > maxAmount {
		return 0, newInvalidRequest(http.StatusBadRequest, "amount_too_large", name, "The maximum of "+name+" is 99999999.")
	}
	return amount, nil
}

func (f form) currency(name string) (string, *apiError) {
	currency := strings.ToLower(f.get(name))
	if currency == "" {
		return "", newMissingParameter(name)
	}
	if len(currency) != 3 || strings.Trim(currency, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", newInvalidRequest(http.StatusBadRequest, "", name, "Invalid ISO 4217 currency code: "+name+".")
	}
	return currency, nil
}

func (f form) flag(name string) (bool, *apiError) {
	switch f.get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, newInvalidRequest(http.StatusBadRequest, "", name, "Invalid boolean: "+name+".")
	}
}
