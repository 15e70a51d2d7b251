package processor

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/quadrille-dev/quadrille/simulators/internal/wire"
)

// maxAmount is the largest amount that Stripe takes, in minor units.
const maxAmount = 99_999_999

// form is a request's parameters, form-encoded as Stripe wants them.
type form struct{ values url.Values }

func readForm(w http.ResponseWriter, r *http.Request) (form, *apiError) {
	if r.Method == http.MethodGet {
		return form{r.URL.Query()}, nil
	}
	body, err := wire.ReadBody(w, r)
	if err != nil {
		return form{}, invalid(wire.Status(err, http.StatusBadRequest), "", "", err.Error())
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return form{}, invalid(http.StatusBadRequest, "", "", "The body is not form-encoded: "+err.Error())
	}
	return form{values}, nil
}

// only refuses parameters that are not named. A name that ends in [] stands for a group, as metadata[] for
// metadata[order_id].
func (f form) only(names ...string) *apiError {
	for parameter := range f.values {
		name, _, group := strings.Cut(parameter, "[")
		if group {
			name += "[]"
		}
		if !slices.Contains(names, name) {
			return invalid(http.StatusBadRequest, "parameter_unknown", parameter, "Unknown parameter: "+parameter+".")
		}
	}
	return nil
}

func (f form) get(name string) string { return f.values.Get(name) }

// group is the parameters name[key], by key.
func (f form) group(name string) map[string]string {
	group := map[string]string{}
	for parameter, values := range f.values {
		if key, ok := strings.CutPrefix(parameter, name+"["); ok {
			group[strings.TrimSuffix(key, "]")] = values[0]
		}
	}
	return group
}

// amount is a positive integer, or 0 if there is none.
func (f form) amount(name string) (int64, *apiError) {
	if !f.values.Has(name) {
		return 0, nil
	}
	amount, err := strconv.ParseInt(f.get(name), 10, 64)
	if err != nil || amount < 1 {
		return 0, invalid(http.StatusBadRequest, "parameter_invalid_integer", name, "A positive integer is needed in "+name+".")
	}
	if amount > maxAmount {
		return 0, invalid(http.StatusBadRequest, "amount_too_large", name, "At most 99999999 is taken in "+name+".")
	}
	return amount, nil
}

func (f form) currency(name string) (string, *apiError) {
	currency := strings.ToLower(f.get(name))
	if currency == "" {
		return "", missing(name)
	}
	if len(currency) != 3 || strings.Trim(currency, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", invalid(http.StatusBadRequest, "", name, "A three-letter ISO 4217 code is needed in "+name+".")
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
		return false, invalid(http.StatusBadRequest, "", name, "Either true or false is needed in "+name+".")
	}
}
