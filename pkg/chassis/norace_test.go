//go:build !race

package chassis_test

const raceEnabled = false
