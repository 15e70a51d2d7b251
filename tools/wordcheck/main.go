// Command wordcheck finds words that this project does not use in the comments of Go files and in the prose of Markdown
// files, and prints each with what to write instead. It exits with status 1 if it finds one. The words, and the few
// places that may use them, are in words.yaml.
//
//	wordcheck [ROOT]
//	wordcheck -count [ROOT]   prints how often each word occurs, and exits with status 0
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
)

//go:embed words.yaml
var words []byte

func main() {
	count := flag.Bool("count", false, "print how often each word occurs")
	flag.Parse()
	root := "."
	if flag.NArg() > 0 {
		root = flag.Arg(0)
	}
	list, err := parseRules(words)
	if err != nil {
		fail(err)
	}
	findings, err := check(os.DirFS(root), list)
	if err != nil {
		fail(err)
	}
	if *count {
		printCounts(os.Stdout, list, findings)
		return
	}
	unused := list.unused()
	for _, f := range findings {
		fmt.Println(f)
	}
	for _, e := range unused {
		fmt.Printf("words.yaml: the exception for %s excuses nothing; remove it\n", e.Files)
	}
	if len(findings)+len(unused) > 0 {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "wordcheck:", err)
	os.Exit(2)
}

// printCounts writes a line for each entry of the list that occurs, and the sum.
func printCounts(w io.Writer, list *rules, findings []finding) {
	counts := map[*entry]int{}
	for _, f := range findings {
		counts[f.entry]++
	}
	for i := range list.Words {
		if n := counts[&list.Words[i]]; n > 0 {
			fmt.Fprintf(w, "%6d  %s\n", n, list.Words[i].Word)
		}
	}
	fmt.Fprintf(w, "%6d  in all\n", len(findings))
}
