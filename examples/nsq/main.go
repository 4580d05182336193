// NSQ's message queue as one static program, with settings of our own.
package main

import (
	"context"
	"log"
	"os/signal"
	"syscall"

	"github.com/nsqio/nsq/nsqd"
)

func main() {
	options := nsqd.NewOptions()
	options.DataPath = "/tmp"
	options.MaxMsgSize = 1 << 20

	queue, err := nsqd.New(options)
	if err != nil {
		log.Fatal(err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		<-stop.Done()
		queue.Exit()
	}()
	if err := queue.LoadMetadata(); err != nil {
		log.Fatal(err)
	}
	if err := queue.Main(); err != nil {
		log.Fatal(err)
	}
}
