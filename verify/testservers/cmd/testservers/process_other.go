//go:build !linux

package main

import "syscall"

// dieWithParent does nothing where the system cannot do it. The end of standard input remains.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
