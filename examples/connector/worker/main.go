// Command worker runs the example connector, and those that come with Weir, on any Kafka cluster:
//
//	go run ./worker localhost:9092
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/builtin"

	inbox "example.org/inbox"
)

func main() {
	brokers := "localhost:9092"
	if len(os.Args) > 1 {
		brokers = os.Args[1]
	}
	w, err := connect.New(connect.Config{
		Options:    map[string]string{"bootstrap.servers": brokers, "group.id": "inbox"},
		Connectors: append(builtin.Connectors(), inbox.Inbox{}),
		Logger:     slog.Default(),
	})
	if err != nil {
		slog.Error("the worker cannot be made", "error", err)
		os.Exit(1)
	}
	w.Start()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.Info("the REST API is ready", "url", "http://"+w.Addr())
	<-ctx.Done()
	w.Stop()
}
