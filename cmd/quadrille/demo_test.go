package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestDemo_IsUsedWrongly(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a story that there is not": {[]string{"--story", "sad"}, "happy, out-of-stock"},
		"an address, but no host":   {[]string{"--order-url", "http://127.0.0.1:1"}, "--against"},
		"a token, but no host":      {[]string{"--token", "x"}, "--against"},
		"a host that is none":       {[]string{"--against", "127.0.0.1", "--token", "x"}, "--against"},
		"a host with a port":        {[]string{"--against", "http://127.0.0.1:8081", "--token", "x"}, "without a port"},
		"a service's URL that is none": {
			[]string{"--against", "http://127.0.0.1", "--payment-url", "somewhere", "--token", "x"}, "--payment-url",
		},
		"no token":         {[]string{"--against", "http://127.0.0.1"}, "OPS_TOKEN"},
		"no patience":      {[]string{"--wait", "0s"}, "--wait"},
		"a word too many":  {[]string{"happy"}, "happy"},
		"an unknown flag":  {[]string{"--fast"}, "--fast"},
		"half of a ladder": {[]string{"--retry-ladder", "1s,soon"}, "ladder"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if status := run(t.Context(), append([]string{"demo"}, c.args...), &out, &errOut); status != 2 {
				t.Errorf("status %d, want 2", status)
			}
			if !strings.Contains(errOut.String(), c.says) {
				t.Errorf("%q is not said: %s", c.says, errOut.String())
			}
			if out.Len() > 0 {
				t.Errorf("something was played: %s", out.String())
			}
		})
	}
}

func TestDemo_FindsAShopByItsHost(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for _, p := range partyFlags {
		t.Setenv(p.variable, "")
	}
	var out, errOut bytes.Buffer
	status := run(t.Context(), []string{"demo", "--against", "http://[::1]", "--order-url", "http://127.0.0.1:1", "--token", "x", "--json"}, &out, &errOut)
	if status != 1 || !strings.Contains(errOut.String(), "http://127.0.0.1:1/readyz") {
		t.Errorf("status %d: %s", status, errOut.String())
	}

	flags := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	o := demoOptions{against: "https://shop.example", token: "x", urls: shopFlags(flags)}
	shop, err := o.shop(func(string) bool { return false })
	if err != nil || shop.Order != "https://shop.example:8081" || shop.Carrier != "https://shop.example:8094" {
		t.Errorf("%+v, %v", shop, err)
	}
}
