package main

import "github.com/quadrille-dev/quadrille/pkg/events"

// TableBooked is told by the tables; the kitchen listens.
type TableBooked struct {
	TableID string `json:"tableId"`
	Guests  int    `json:"guests"`
}

func (TableBooked) EventType() string         { return "table.booked.v1" }
func (TableBooked) Publisher() string         { return "tables" }
func (e TableBooked) Subject() string         { return e.TableID }
func (TableBooked) Audience() events.Audience { return events.Required }

// TableLaid is the kitchen's answer.
type TableLaid struct {
	TableID string `json:"tableId"`
	Plates  int    `json:"plates"`
}

func (TableLaid) EventType() string         { return "table.laid.v1" }
func (TableLaid) Publisher() string         { return "kitchen" }
func (e TableLaid) Subject() string         { return e.TableID }
func (TableLaid) Audience() events.Audience { return events.Required }
