// Package story has what the programs here, one a client, have in common.
package story

import (
	"log"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Servers are the brokers' addresses.
func Servers() []string { return strings.Split(os.Args[1], ",") }

// Crash kills a broker and starts it again.
func Crash() {
	if out, err := exec.Command(os.Args[2]).CombinedOutput(); err != nil {
		log.Panicf("starting the broker again: %s\n%s", err, out)
	}
}

// Must gives the value; an error ends the story.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Check ends the story with an error.
func Check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

// Again asks until there is an answer, where a client leaves it to its caller to ask again after it lost a broker.
func Again[T any](ask func() (T, error)) (value T) {
	Until("an answer", func() (answered bool) {
		var err error
		if value, err = ask(); err != nil {
			log.Println("asks again:", err)
		}
		return err == nil
	})
	return value
}

// Outcome tells what became of a wish.
func Outcome(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

// Until waits until something is so.
func Until(what string, so func() bool) {
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			log.Panicf("never came: %s", what)
		}
	}
}
