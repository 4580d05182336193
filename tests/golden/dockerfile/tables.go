// Prints a table of this directory with the answers of BuildKit's own packages in place of those that are written in it; nothing else changes, so that a diff shows what is not
// true. Put this file into a directory of a checkout of github.com/moby/buildkit (cmd/tables/main.go) and run, there:
//
//	go run ./cmd/tables expand|words|ignore|ignorefile FILE | diff FILE -
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func expand(env []string, text string, split bool) string {
	lex := shell.NewLex('\\')
	var found string
	var err error
	if split {
		var words []string
		words, err = lex.ProcessWords(text, shell.EnvsFromSlice(env))
		found = strings.Join(words, ",")
	} else {
		found, _, err = lex.ProcessWord(text, shell.EnvsFromSlice(env))
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return "[" + found + "]"
}

func ignore(patterns, path string) string {
	matcher, err := patternmatcher.New(strings.Split(patterns, ";"))
	if err != nil {
		return "error"
	}
	matched, err := matcher.MatchesOrParentMatches(path)
	if err != nil {
		return "error"
	}
	if matched {
		return "yes"
	}
	return "no"
}

// Blocks "=== number, input, ---, output" of an ignore file: each pattern in brackets, without those that are empty.
func ignoreFile(text string) {
	blocks := strings.Split(text, "\n=== ")
	fmt.Print(blocks[0])
	for _, block := range blocks[1:] {
		number, rest, _ := strings.Cut(block, "\n")
		input, _, _ := strings.Cut(rest, "\n---\n")
		patterns, err := ignorefile.ReadAll(strings.NewReader(input + "\n"))
		fmt.Printf("\n=== %s\n%s\n---\n", number, input)
		if err != nil {
			fmt.Printf("error: %s\n", err)
		}
		for _, pattern := range patterns {
			fmt.Printf("[%s]\n", pattern)
		}
	}
}

func main() {
	if os.Args[1] == "ignorefile" {
		text, err := os.ReadFile(os.Args[2])
		if err != nil {
			panic(err)
		}
		ignoreFile(string(text))
		return
	}
	file, err := os.Open(os.Args[2])
	if err != nil {
		panic(err)
	}
	var env []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		fields := strings.SplitN(line, " | ", 3)
		switch {
		case line == "" || line[0] == '#':
			fmt.Println(line)
		case len(fields) == 1:
			env = append(env, line)
			fmt.Println(line)
		case os.Args[1] == "ignore":
			fmt.Printf("%s | %s | %s\n", fields[0], fields[1], ignore(fields[0], fields[1]))
		default:
			fmt.Printf("%s | %s\n", fields[0], expand(env, fields[0], os.Args[1] == "words"))
		}
	}
}
