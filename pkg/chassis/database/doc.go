// Package database opens a service's database, migrates its tables and classifies its errors. It supports Postgres, and
// SQLite through a driver that the caller brings.
package database
