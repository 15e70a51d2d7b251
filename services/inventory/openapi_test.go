package inventory

import "testing"

func TestOpenAPI_DescribesWhatIsServed(t *testing.T) {
	t.Parallel()
	r, err := (&Service{}).router(Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckOpenAPI(); err != nil {
		t.Error(err)
	}
}
