package testservers

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"

	"github.com/quadrille-dev/quadrille/verify/testservers/internal/servers"
)

// Names of databases, virtual hosts and users contain the machine and the process that created them, so that what a
// killed test left can be distinguished from what a running test uses: quadrille_test_<machine>_<process>_<random>.
const namePrefix = "quadrille_test_"

func newName() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%s%s_%d_%s", namePrefix, machine(), os.Getpid(), hex.EncodeToString(random[:]))
}

// machine returns a hash of this machine's name, which may have characters that a database name may not.
func machine() string {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(hostname))
	return strconv.FormatUint(uint64(hash.Sum32()), 16)
}

// abandoned reports whether name was created on this machine by a process that has ended.
func abandoned(name string) bool {
	rest, ours := strings.CutPrefix(name, namePrefix+machine()+"_")
	if !ours {
		return false
	}
	process, _, _ := strings.Cut(rest, "_")
	pid, err := strconv.Atoi(process)
	return err == nil && pid > 0 && servers.ProcessEnded(pid)
}
