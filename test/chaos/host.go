package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// host is a place with a network of its own: a thread that lives in a network namespace, and starts processes there.
type host struct {
	address string
	calls   chan func()
}

func addressOf(id int) string { return fmt.Sprintf("10.0.0.%d", 100+id) }
func hardware(id int) string  { return fmt.Sprintf("02:00:00:00:00:%02x", id) }

// newHost makes the host with that number, and connects it.
func newHost(id int, n *network) (*host, error) {
	h := &host{address: addressOf(id), calls: make(chan func())}
	go func() {
		runtime.LockOSThread() // for ever: no one else may get a thread that is elsewhere
		for f := range h.calls {
			f()
		}
	}()
	return h, h.do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		return connect(id, n)
	})
}

// do calls f in the host.
func (h *host) do(f func() error) error {
	done := make(chan error)
	h.calls <- func() { done <- f() }
	return <-done
}

// connect gives the network namespace of the calling thread a network card, whose other end is the switch.
func connect(id int, n *network) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	card, err := unix.NewIfreq("eth0")
	if err != nil {
		return err
	}
	card.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, card); err != nil {
		return fmt.Errorf("making a network card: %w", err)
	}
	n.taps[id] = os.NewFile(uintptr(fd), fmt.Sprintf("tap of host %d", id))
	commands := []string{
		"link set lo up",
		"link set eth0 address " + hardware(id),
		fmt.Sprintf("link set eth0 mtu %d", mtu),
		fmt.Sprintf("addr add %s/24 dev eth0", addressOf(id)),
		"link set eth0 up",
	}
	for other := range n.taps {
		if other != id {
			commands = append(commands, fmt.Sprintf("neigh replace %s lladdr %s dev eth0 nud permanent", addressOf(other), hardware(other)))
		}
	}
	for _, c := range commands {
		if err := run("ip", strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// run runs a command of the machine, and tells what it said if it fails.
func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
