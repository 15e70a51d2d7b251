package embedded

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Addresses are where the stack listens, as host:port. Port 0 selects a free port.
type Addresses struct {
	Order, Inventory, Payment, Shipping string
	// Processor and Carrier are the simulators' APIs, ProcessorOps and CarrierOps their /ops endpoints.
	Processor, Carrier, ProcessorOps, CarrierOps string
	// Broker serves the sizes of the queues to operators; see Queues.
	Broker string
}

// Each returns the addresses with the names that flags and messages use.
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

// listen opens the addresses, except those of the services in without, and replaces port 0 by the selected port. If it
// fails, no listener is open, and the error has every address that failed.
func listen(a *Addresses, without []string) (listeners map[string]net.Listener, err error) {
	listeners = map[string]net.Listener{}
	var errs []error
	for _, n := range a.Each() {
		if slices.Contains(without, n.Name) {
			continue
		}
		l, err := net.Listen("tcp", *n.Address)
		if addressInUse(err) {
			err = fmt.Errorf("%s: address %s is in use; set --%s-addr, or use --free-ports", n.Name, *n.Address, n.Name)
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

// windowsAddressInUse is WSAEADDRINUSE, which differs from syscall.EADDRINUSE.
const windowsAddressInUse = syscall.Errno(10048)

func addressInUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows" && errors.Is(err, windowsAddressInUse)
}

// checkExposure returns an error if other machines could reach the stack and it has the default token.
func checkExposure(a *Addresses, environ []string) error {
	chosen := slices.ContainsFunc(environ, func(variable string) bool {
		return strings.HasPrefix(variable, "OPS_TOKEN=") && variable != "OPS_TOKEN="
	})
	for _, n := range a.Each() {
		if !chosen && !loopback(*n.Address) {
			return fmt.Errorf("%s: other machines can reach %s, and the operators' token is the default one: set OPS_TOKEN",
				n.Name, *n.Address)
		}
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // listen returns the error
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// closeAll closes the listeners. Closing one twice has no effect.
func closeAll(listeners map[string]net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}
