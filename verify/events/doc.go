// Package events holds the tests of package pkg/events that need a database server: they run on Postgres, and on SQLite
// where the behavior has to be the same. Its subfolders test the transports on real servers. The tests are in this
// module, not beside the library, so that the library's module requires nothing that is not published.
package events
