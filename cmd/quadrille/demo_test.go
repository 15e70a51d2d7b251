package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestDemo_WrongUsage(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"an unknown story":        {[]string{"--story", "sad"}, "happy, out-of-stock"},
		"an address, but no host": {[]string{"--order-url", "http://127.0.0.1:1"}, "--against"},
		"a token, but no host":    {[]string{"--token", "x"}, "--against"},
		"an invalid host":         {[]string{"--against", "127.0.0.1", "--token", "x"}, "--against"},
		"a host with a port":      {[]string{"--against", "http://127.0.0.1:8081", "--token", "x"}, "without a port"},
		"an invalid URL": {
			[]string{"--against", "http://127.0.0.1", "--payment-url", "somewhere", "--token", "x"}, "--payment-url",
		},
		"no token":               {[]string{"--against", "http://127.0.0.1"}, "OPS_TOKEN"},
		"no timeout":             {[]string{"--wait", "0s"}, "--wait"},
		"an argument":            {[]string{"happy"}, "happy"},
		"an unknown flag":        {[]string{"--fast"}, "--fast"},
		"an invalid retry delay": {[]string{"--retry-delays", "1s,soon"}, "retry-delays"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if status := run(t.Context(), append([]string{"demo"}, c.args...), &out, &errOut); status != 2 {
				t.Errorf("status %d, want 2", status)
			}
			if !strings.Contains(errOut.String(), c.want) {
				t.Errorf("missing %q: %s", c.want, errOut.String())
			}
			if out.Len() > 0 {
				t.Errorf("a story ran: %s", out.String())
			}
		})
	}
}

func TestDemo_Against(t *testing.T) {
	t.Setenv("OPS_TOKEN", "")
	for _, u := range urlFlags {
		t.Setenv(u.variable, "")
	}
	var out, errOut bytes.Buffer
	status := run(t.Context(), []string{"demo", "--against", "http://[::1]", "--order-url", "http://127.0.0.1:1", "--token", "x", "--json"}, &out, &errOut)
	if status != 1 || !strings.Contains(errOut.String(), "http://127.0.0.1:1/readyz") {
		t.Errorf("status %d: %s", status, errOut.String())
	}

	flags := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	o := demoOptions{against: "https://stack.example", token: "x", urls: addURLFlags(flags)}
	stack, err := o.existingStack(func(string) bool { return false })
	if err != nil || stack.Order != "https://stack.example:8081" || stack.Carrier != "https://stack.example:8094" {
		t.Errorf("%+v, %v", stack, err)
	}
}
