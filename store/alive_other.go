//go:build !unix

package store

import "os"

// alive tells whether a process of this machine is there.
func alive(process int) bool {
	p, err := os.FindProcess(process)
	if err != nil {
		return false
	}
	p.Release()
	return true
}
