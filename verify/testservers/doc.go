// Package testservers gives tests a real PostgreSQL and a real RabbitMQ, and each test a place of its own in them.
//
//   - [Database] and [Template.Database] return the URL of a new database. The second is cloned from a template that is
//     prepared once, which is much faster than migrating in every test.
//   - [AMQP] returns the URL of a new virtual host, and [User] one for a user with few permissions in it.
//   - [Authority] adds TLS to either of them.
//   - [OwnDatabase] and [OwnBroker] start whole servers, for tests that stop them.
//
// # Where the servers come from
//
// The first of these that exists, or the one that TEST_SERVERS=env, docker or local selects:
//
//  1. env: the addresses in TEST_DATABASE_URL and TEST_AMQP_URL (environment.go). The management API is expected on
//     port 15672 of the broker's host, or at TEST_RABBITMQ_MANAGEMENT_URL.
//  2. docker: containers, through testcontainers-go and its modules postgres and rabbitmq
//     (cmd/testservers/testcontainers.go), if a Docker engine is reachable and has the images or can pull them within
//     30 seconds.
//  3. local: the programs postgres and rabbitmq-server of this machine, in temporary folders on free ports
//     (cmd/testservers/local.go); on Debian as root, also after scripts/install-test-servers has installed them.
//
// A function of this package fails its test if there are no servers; none skips it.
//
// # Why a library and a program
//
// Tests import this library, which only connects. Servers are started by the program cmd/testservers, which the library
// runs when the environment has no addresses. There are three reasons:
//
//   - Test binaries stay small: testcontainers-go and the Docker client are compiled and linked once, not once for
//     each package that needs a database.
//   - "testservers exec -- go test ./..." starts one pair of servers for the test binaries of all packages, each of
//     which finds their addresses in its environment. scripts/test does that.
//   - Servers end with the test, even if it is killed: the program ends when the pipe from its parent closes. For the
//     same reason testcontainers-go's own reaper, one more image to pull, is not needed.
//
// # What is left behind
//
// Nothing on servers that were started for a test. On long-lived servers, each test deletes its databases, virtual
// hosts and users, and [Main] deletes the templates; what a killed test left is deleted by the next run on the same
// machine.
//
// All functions are safe for concurrent use.
package testservers
