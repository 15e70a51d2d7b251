package embedded

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
)

// Addresses are where the shop listens, host:port each. A port of 0 takes any free one.
type Addresses struct {
	Order, Inventory, Payment, Shipping string
	// Processor and Carrier are the simulators' APIs, the others what operators see of them.
	Processor, Carrier, ProcessorOps, CarrierOps string
	// Broker answers operators how full the queues are, see Queues.
	Broker string
}

// Each lists the addresses under the names by which flags and messages call them.
func (a *Addresses) Each() []NamedAddress {
	return []NamedAddress{
		{"order", &a.Order},
		{"inventory", &a.Inventory},
		{"payment", &a.Payment},
		{"shipping", &a.Shipping},
		{"processor", &a.Processor},
		{"carrier", &a.Carrier},
		{"processor-ops", &a.ProcessorOps},
		{"carrier-ops", &a.CarrierOps},
		{"broker", &a.Broker},
	}
}

// NamedAddress is one of the addresses.
type NamedAddress struct {
	Name    string
	Address *string
}

// listen opens the addresses, except those of services that stay closed, or none of them, and says of each that cannot
// be had why. It puts the port that was chosen in the place of 0.
func listen(a *Addresses, closed []string) (listeners map[string]net.Listener, err error) {
	listeners = map[string]net.Listener{}
	var errs []error
	for _, n := range a.Each() {
		if slices.Contains(closed, n.Name) {
			continue
		}
		l, err := net.Listen("tcp", *n.Address)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%s: somebody listens on %s already; give another --%s-addr, or --free-ports", n.Name, *n.Address, n.Name)
		} else if err != nil {
			err = fmt.Errorf("%s: %w", n.Name, err)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		listeners[n.Name], *n.Address = l, l.Addr().String()
	}
	if len(errs) > 0 {
		closeAll(listeners)
		return nil, errors.Join(errs...)
	}
	return listeners, nil
}

// closeAll closes what nobody has closed yet.
func closeAll(listeners map[string]net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}
