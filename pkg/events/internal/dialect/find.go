package dialect

import "fmt"

// Find returns the dialect with the name that GORM gives it.
func Find(name string) (*Dialect, error) {
	switch name {
	case "postgres":
		return &postgres, nil
	case "sqlite":
		return &sqlite, nil
	default:
		return nil, fmt.Errorf("database is %q: only postgres and sqlite are supported", name)
	}
}
