// Package servicetest is the harness with which the packages of services test themselves.
//
//   - [Main] is the TestMain of a service's package.
//   - [NewTemplate] prepares a database with the tables of a service; each test gets a copy.
//   - [Start] runs the bus and the router of a service, with a transport in memory in place of the other services.
//   - [Serve] runs a whole service from an empty database, as its command does.
//   - [CheckOpenAPI], [CheckBodies], [WantProblem], [Decode], [WaitUntil], [Race] and [LoggedAbout] are checks and helpers that all
//     services need.
package servicetest
