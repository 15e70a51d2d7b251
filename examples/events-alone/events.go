package main

import "github.com/quadrille-dev/quadrille/pkg/events"

// TableBooked is told by the tables; the kitchen listens.
type TableBooked struct {
	TableID string `json:"tableId"`
	Guests  int    `json:"guests"`
}

func (TableBooked) EventType() string { return "table.booked.v1" }
func (e TableBooked) Subject() string { return e.TableID }

// TableLaid is the kitchen's answer.
type TableLaid struct {
	TableID string `json:"tableId"`
	Plates  int    `json:"plates"`
}

func (TableLaid) EventType() string { return "table.laid.v1" }
func (e TableLaid) Subject() string { return e.TableID }

// declared says once who publishes each event, and that it must have a reader.
var declared = []events.Declaration{
	{ETO: TableBooked{}, Publisher: "tables", Mandatory: true},
	{ETO: TableLaid{}, Publisher: "kitchen", Mandatory: true},
}
