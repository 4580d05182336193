// A web service in one file.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
)

func main() {
	address := flag.String("listen", ":8080", "address to listen on")
	once := flag.Bool("once", false, "print the greeting and stop")
	flag.Parse()
	if *once {
		fmt.Println("hello from go")
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello from go") })
	log.Fatal(http.ListenAndServe(*address, nil))
}
