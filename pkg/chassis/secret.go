package chassis

import "fmt"

// Secret is a string that logs, prints and marshals as [redacted]. Services use it for their own keys, too.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself, for handing it to what needs it.
func (s Secret) Reveal() string { return string(s) }

// String returns a placeholder; slog uses it as well.
func (s Secret) String() string { return redacted }

// Format writes the placeholder whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns the placeholder, so that JSON shows it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
