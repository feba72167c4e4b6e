package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// space names what the numbers of processes are counted in: this machine since
// it was started, and this container of it.
func space() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(boot)) + " " + ns
}

// look tells whether a process of this place runs, and how long ago it began, 0
// where that is not known. One that has ended while its parent has not asked how
// does not run.
func look(process int) (running bool, age time.Duration) {
	if err := syscall.Kill(process, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false, 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		return true, 0
	}
	// The process's name stands in brackets and may hold any byte. Behind it come
	// the state and, 20th, the start in hundredths of a second after the machine's.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return true, 0
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return false, 0
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return true, 0
	}
	up, _, _ := bytes.Cut(uptime, []byte(" "))
	now, err := strconv.ParseFloat(string(up), 64)
	if err != nil {
		return true, 0
	}
	start, err := strconv.ParseFloat(string(fields[19]), 64)
	if err != nil {
		return true, 0
	}
	return true, time.Duration((now - start/100) * float64(time.Second))
}
