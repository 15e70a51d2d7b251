//go:build !linux

package main

import "syscall"

// setDeathSignal does nothing: only Linux has death signals. The end of standard input remains.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}
