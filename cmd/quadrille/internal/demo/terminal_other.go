//go:build !windows

package demo

import "os"

func understandsColours(*os.File) bool { return true }
