// Prints a table of this directory with the answers of BuildKit's own packages in place of those that are written in it; nothing else changes, so that a diff shows what is not
// true. Put this file into a directory of a checkout of github.com/moby/buildkit (cmd/tables/main.go) and run, there:
//
//	go run ./cmd/tables expand|words|ignore|ignorefile|parse|errors FILE | diff -B FILE -
//
// It knows neither the lines of heredoc bodies nor columns, nor the errors that are found after parsing: there the table stays as it is.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
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

func ignoreFile(input string) string {
	patterns, err := ignorefile.ReadAll(strings.NewReader(input + "\n"))
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var out strings.Builder
	for _, pattern := range patterns {
		fmt.Fprintf(&out, "[%s]\n", pattern)
	}
	return out.String()
}

// From the line of the table that begins so to the one where its bracket is closed.
func kept(expected, prefix string) string {
	_, rest, found := strings.Cut("\n"+expected, "\n"+prefix)
	if !found {
		return ""
	}
	if strings.Contains(prefix, "<<") {
		rest, _, _ = strings.Cut(rest, "]\n")
		return prefix + rest + "]\n"
	}
	rest, _, _ = strings.Cut(rest, "\n")
	return prefix + rest + "\n"
}

func parse(input, expected string) string {
	result, err := parser.Parse(strings.NewReader(input + "\n"))
	if err != nil {
		return "error: " + err.Error() + "\n" + kept(expected, "at ")
	}
	var out strings.Builder
	for _, node := range result.AST.Children {
		fmt.Fprintf(&out, "(%s)\n", node.Dump())
	}
	for _, node := range result.AST.Children {
		json := ""
		if node.Attributes["json"] {
			json = " json"
		}
		fmt.Fprintf(&out, "%d-%d%s\n", node.StartLine, node.EndLine, json)
		for _, heredoc := range node.Heredocs {
			out.WriteString(kept(expected, "  <<"+heredoc.Name+" "))
		}
	}
	return out.String()
}

func errors(input, expected string) string {
	result, err := parser.Parse(strings.NewReader(input + "\n"))
	if err == nil {
		_, _, err = instructions.Parse(result.AST, nil)
	}
	if err == nil {
		return expected
	}
	return "error: " + err.Error() + "\n" + kept(expected, "at ")
}

// Blocks "=== number, input, ---, output".
func blocks(text string, answer func(input, expected string) string) {
	list := strings.Split(text, "\n=== ")
	fmt.Print(list[0])
	for _, block := range list[1:] {
		number, rest, _ := strings.Cut(block, "\n")
		at := strings.LastIndex("\n"+rest, "\n---\n")
		input, expected := strings.TrimSuffix(rest[:at], "\n"), rest[at+len("---\n"):]
		fmt.Printf("\n=== %s\n%s---\n%s\n", number, rest[:at], strings.TrimRight(answer(input, expected), "\n"))
	}
}

func main() {
	tables := map[string]func(input, expected string) string{
		"ignorefile": func(input, _ string) string { return ignoreFile(input) },
		"parse":      parse,
		"errors":     errors,
	}
	if answer := tables[os.Args[1]]; answer != nil {
		text, err := os.ReadFile(os.Args[2])
		if err != nil {
			panic(err)
		}
		blocks(string(text), answer)
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
