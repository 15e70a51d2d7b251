// Package openapi holds the HTTP contracts of the four services as OpenAPI 3.1 documents in YAML: every path, parameter,
// header, body and response, with its limits. Each document stands alone, and what two of them share they say in the same
// words. A service serves its own at /openapi.json, and as a page at /docs.
//
// What is not in a document is not offered: the end-to-end suite holds every request and response against them.
package openapi

import _ "embed" // for the documents

// The documents. They are not to be changed.
var (
	//go:embed order.yaml
	Order []byte
	//go:embed inventory.yaml
	Inventory []byte
	//go:embed payment.yaml
	Payment []byte
	//go:embed shipping.yaml
	Shipping []byte
)
