// Package testservers gives tests a real PostgreSQL and a real RabbitMQ, each test with a place of its own in them.
//
//   - [Database] and [Template.Database] return the URL of a database that no other test sees; the second is cloned
//     from one that was prepared once, which is much faster than migrating for every test.
//   - [AMQP] and [Topology.AMQP] return the URL of a virtual host: of a test's own, or prepared once per package.
//   - [User] returns such a URL for somebody who may do little there.
//   - [Authority] puts TLS before either of them.
//   - [OwnDatabase] and [OwnBroker] start whole servers for tests that stop them.
//   - [QueueDepths] says what lies in a virtual host's queues.
//
// Where the servers come from: TEST_DATABASE_URL and TEST_AMQP_URL in the environment, if set (with
// TEST_RABBITMQ_MANAGEMENT_URL, by default port 15672 on the broker's host). Otherwise the first test that needs one
// starts it through the command cmd/testservers of this repository, in Docker or from installed programs, for the
// test binary's lifetime. TEST_SERVERS=env, docker or local allows one way only. To run several packages' tests on the
// same servers, run them as "testservers exec -- go test …"; "make test" does.
//
// Nothing stays behind: servers that were started end with the test binary, however it ends. On servers of your own,
// tests delete what they made; what a killed test left is deleted by the next run on the same machine.
//
// Every function fails the test at once if the servers cannot be had; none skips it. All are safe for concurrent use.
package testservers
