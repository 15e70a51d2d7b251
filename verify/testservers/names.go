package testservers

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Names of databases and virtual hosts say which process of which machine made them, so that what a killed test left
// can be told from what a running one uses: quadrille_test_<machine>_<process>_<random>.
const namePrefix = "quadrille_test_"

func newName() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%s%s_%d_%s", namePrefix, machine(), os.Getpid(), hex.EncodeToString(random[:]))
}

// machine is a short stand-in for this machine's name, which may hold characters that a database name may not.
func machine() string {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(hostname))
	return strconv.FormatUint(uint64(hash.Sum32()), 16)
}

// abandoned says whether name was made on this machine by a process that is no more.
func abandoned(name string) bool {
	rest, ours := strings.CutPrefix(name, namePrefix+machine()+"_")
	if !ours {
		return false
	}
	process, _, _ := strings.Cut(rest, "_")
	pid, err := strconv.Atoi(process)
	if err != nil || pid <= 0 || pid == os.Getpid() {
		return false
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer func() { _ = p.Release() }()
	err = p.Signal(syscall.Signal(0))
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}
