package eventstest

import (
	"testing"

	"go.uber.org/goleak"
)

// Run is the conformance suite: what passes it keeps the promises of package events with this transport and this
// database. Its subtests run in parallel, each on a stage of its own.
func Run(t *testing.T, w World) {
	// Alone and first, while goroutines can be told apart. The first run warms up the stage, which may keep some.
	t.Run("Shutdown_LeavesNoGoroutineBehind", func(t *testing.T) {
		stage := w.Stage(t)
		t.Run("first run", func(t *testing.T) { passNotes(newScene(t, stage)) })
		before := goleak.IgnoreCurrent()
		t.Run("second run", func(t *testing.T) { passNotes(newScene(t, stage)) })
		goleak.VerifyNone(t, before)
	})
	for _, c := range []struct {
		name string
		test func(*scene)
	}{
		{"Event_ReachesEverySubscription", eventReachesEverySubscription},
		{"Event_IsAppliedOnceHoweverOftenItComes", eventIsAppliedOnce},
		{"Event_WaitsUntilItsTime", eventWaitsUntilItsTime},
		{"Event_CarriesItsContextThroughEveryHop", eventCarriesItsContext},
		{"Event_IsPublishedWithItsReactionOrNotAtAll", eventIsPublishedWithItsReaction},
		{"Key_KeepsItsOrderWhenTheLeaderIsKilled", keyKeepsItsOrder},

		{"Reactions_AreIndependent", reactionsAreIndependent},
		{"Ladder_IsClimbedInOrderThenDeadLettered", ladderIsClimbedInOrder},
		{"Verdict", verdicts},
		{"Pause_SpendsNoAttemptsHoweverLong", pauseSpendsNoAttempts},

		{"Unroutable_WaitsUntilItsQueueExists", unroutableWaits},
		{"Refused_IsParkedWithItsKeyOnly", refusedIsParked},

		{"Shutdown_LosesNothingInFlight", shutdownLosesNothing},
		{"Crash_LosesNothingInFlight", crashLosesNothing},
		{"Broker_AwayCostsNothingButTime", brokerAway},
		{"Broker_LosesAConfirm", brokerLosesAConfirm},
		{"Broker_LosesAnAcknowledgement", brokerLosesAnAcknowledgement},
		{"Database_LosesTheAnswerToACommit", databaseLosesAnAnswer},
		{"Database_AwayForLongerThanTheLadder", databaseAway},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(newScene(t, w.Stage(t)))
		})
	}
}
