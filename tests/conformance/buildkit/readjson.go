// Reads the stream of `mica build --progress=rawjson` from standard input as BuildKit's client does, shows it with BuildKit's plain printer, and tells on standard error what a reader would lose: lines that
// are no client.SolveStatus, members that it does not know, values that are others when written again. Runs inside a checkout of github.com/moby/buildkit (cmd/readjson/main.go):
//
//	mica build --progress=rawjson . 2>&1 >/dev/null | go run ./cmd/readjson
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/progress/progressui"
)

func prune(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			p := prune(e)
			if p == nil || p == "" || p == false || p == float64(0) {
				delete(x, k)
				continue
			}
			if s, ok := p.([]any); ok && len(s) == 0 {
				delete(x, k)
				continue
			}
			x[k] = p
		}
		return x
	case []any:
		for i := range x {
			x[i] = prune(x[i])
		}
	}
	return v
}

func main() {
	ch := make(chan *client.SolveStatus)
	d, err := progressui.NewDisplay(os.Stdout, progressui.PlainMode)
	if err != nil {
		panic(err)
	}
	done := make(chan error)
	go func() {
		w, err := d.UpdateFrom(context.TODO(), ch)
		fmt.Fprintf(os.Stderr, "display warnings: %d\n", len(w))
		done <- err
	}()
	sc := bufio.NewScanner(os.Stdin)
	sc.Buffer(make([]byte, 1<<20), 1<<26)
	n, lost, nv, ns, nl, nw, other := 0, 0, 0, 0, 0, 0, 0
	for sc.Scan() {
		line := sc.Bytes()
		if len(line) == 0 || line[0] != '{' {
			other++
			fmt.Fprintf(os.Stderr, "not json: %s\n", line)
			continue
		}
		n++
		var st client.SolveStatus
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&st); err != nil {
			fmt.Fprintf(os.Stderr, "cannot decode: %v: %s\n", err, line)
			lost++
			continue
		}
		back, _ := json.Marshal(&st)
		var a, b any
		json.Unmarshal(line, &a)
		json.Unmarshal(back, &b)
		if !reflect.DeepEqual(prune(a), prune(b)) {
			lost++
			x, _ := json.Marshal(a)
			y, _ := json.Marshal(b)
			fmt.Fprintf(os.Stderr, "differs:\n  %s\n  %s\n", x, y)
		}
		for _, v := range st.Vertexes {
			if err := v.Digest.Validate(); err != nil {
				fmt.Fprintf(os.Stderr, "digest %q: %v\n", v.Digest, err)
				lost++
			}
		}
		nv += len(st.Vertexes)
		ns += len(st.Statuses)
		nl += len(st.Logs)
		nw += len(st.Warnings)
		ch <- &st
	}
	close(ch)
	if err := <-done; err != nil {
		fmt.Fprintf(os.Stderr, "display: %v\n", err)
	}
	fmt.Fprintf(os.Stderr, "%d lines, %d not json; %d vertexes, %d statuses, %d logs, %d warnings; %d lost\n", n, other, nv, ns, nl, nw, lost)
}
