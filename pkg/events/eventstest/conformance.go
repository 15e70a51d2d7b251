package eventstest

import (
	"testing"

	"go.uber.org/goleak"
)

// Run runs the conformance suite. A transport and a database that pass it keep the guarantees of package events. Each
// subtest runs in parallel on a new environment, which must be empty: a broker, or a part of one that nothing else uses,
// with a database for every service. The environment ends with the test that it is made for.
func Run(t *testing.T, newEnvironment func(t *testing.T) Environment) {
	// This test runs alone, because it counts goroutines. The first run starts those that the environment keeps.
	t.Run("Shutdown leaves no goroutines", func(t *testing.T) {
		environment := newEnvironment(t)
		t.Run("first run", func(t *testing.T) { passNotes(newHarness(t, environment)) })
		before := goleak.IgnoreCurrent()
		t.Run("second run", func(t *testing.T) { passNotes(newHarness(t, environment)) })
		goleak.VerifyNone(t, before)
	})
	for _, c := range []struct {
		name string
		test func(*harness)
	}{
		{"Event reaches every subscription", eventReachesEverySubscription},
		{"Event is applied once", eventIsAppliedOnce},
		{"Event is delivered at its time", eventIsDeliveredAtItsTime},
		{"Event carries its context", eventCarriesItsContext},
		{"Event is committed with its handler", eventIsCommittedWithHandler},
		{"Subject keeps its order after a crash", subjectKeepsItsOrder},

		{"Handlers are independent", handlersAreIndependent},
		{"Handler is retried, then dead-lettered", retriedThenDeadLettered},
		{"Handler outcomes", outcomes},
		{"Hostile messages become dead letters", hostileMessages},
		{"Pause uses no attempts", pauseUsesNoAttempts},

		{"Unroutable event waits for its queue", unroutableWaits},
		{"Rejected event is parked", rejectedIsParked},

		{"Shutdown loses nothing", shutdownLosesNothing},
		{"Crash loses nothing", crashLosesNothing},
		{"Broker unavailable", brokerUnavailable},
		{"Broker loses a confirm", brokerLosesAConfirm},
		{"Broker loses an acknowledgement", brokerLosesAnAcknowledgement},
		{"Database loses the response to a commit", databaseLosesAResponse},
		{"Database unavailable", databaseUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(newHarness(t, newEnvironment(t)))
		})
	}
}
