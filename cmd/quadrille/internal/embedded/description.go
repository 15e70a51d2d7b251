package embedded

// Description is a running stack, for programs. The URLs of Processor, Carrier and Broker are those of their operators'
// endpoints: audit snapshots, faults and queues.
type Description struct {
	Order     string `json:"order"`
	Inventory string `json:"inventory"`
	Payment   string `json:"payment"`
	Shipping  string `json:"shipping"`
	Processor string `json:"processor"`
	Carrier   string `json:"carrier"`
	Broker    string `json:"broker"`
	Token     string `json:"token"`
	Data      string `json:"data"`

	Addresses map[string]string `json:"addresses"` // by flag of quadrille up, for the next start
}

// NewDescription describes the stack that listens at these addresses, keeps its data in dir, and has this operators' token.
func NewDescription(at Addresses, dir, token string) Description {
	d := Description{
		Order: "http://" + at.Order, Inventory: "http://" + at.Inventory, Payment: "http://" + at.Payment, Shipping: "http://" + at.Shipping,
		Processor: "http://" + at.ProcessorOps, Carrier: "http://" + at.CarrierOps, Broker: "http://" + at.Broker, Token: token, Data: dir,
		Addresses: map[string]string{},
	}
	for _, n := range at.Each() {
		d.Addresses[n.Name+"-addr"] = *n.Address
	}
	return d
}
