// Command importrules checks who imports whom in this repository, against the table in rules.go. It prints one line
// for each import that breaks a rule and exits with status 1 if there is one.
//
//	importrules [ROOT]
package main

import (
	"fmt"
	"os"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	violations, err := check(os.DirFS(root), rules)
	if err != nil {
		fmt.Fprintln(os.Stderr, "importrules:", err)
		os.Exit(2)
	}
	for _, v := range violations {
		fmt.Println(v)
	}
	if len(violations) > 0 {
		os.Exit(1)
	}
}
