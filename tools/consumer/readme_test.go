package main

import "testing"

func TestFirstProgram(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, markdown, want string }{
		{"the first of two", "# Title\n\n```sh\ngo get\n```\n\n```go\npackage main\n\nfunc main() {}\n```\n\n```go\nx := 1\n```\n", "package main\n\nfunc main() {}\n"},
		{"at the beginning", "```go\npackage main\n```\n", "package main\n"},
		{"no code", "# Title\n", ""},
		{"a fragment", "```go\nbus.Publish()\n```\n", ""},
		{"without an end", "```go\npackage main\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			program, err := firstProgram(tc.markdown)
			if program != tc.want {
				t.Errorf("firstProgram = %q, want %q", program, tc.want)
			}
			if (err != nil) != (tc.want == "") {
				t.Errorf("firstProgram: error %v", err)
			}
		})
	}
}
