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
		if addressInUse(err) {
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

// windowsAddressInUse is WSAEADDRINUSE, which package syscall does not take for its EADDRINUSE.
const windowsAddressInUse = syscall.Errno(10048)

func addressInUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows" && errors.Is(err, windowsAddressInUse)
}

// checkExposure refuses to open the shop to other machines with a token that everybody knows.
func checkExposure(a *Addresses, environ []string) error {
	chosen := slices.ContainsFunc(environ, func(variable string) bool {
		return strings.HasPrefix(variable, "OPS_TOKEN=") && variable != "OPS_TOKEN="
	})
	for _, n := range a.Each() {
		if !chosen && !loopback(*n.Address) {
			return fmt.Errorf("%s: other machines could reach %s, and everybody knows the operators' token: choose one with OPS_TOKEN",
				n.Name, *n.Address)
		}
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // listening will say what is wrong with it
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// closeAll closes what nobody has closed yet.
func closeAll(listeners map[string]net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}
