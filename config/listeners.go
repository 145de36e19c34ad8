package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Listener is an address that clients or nodes connect to, and the one they are told.
type Listener struct {
	Name           string
	Host           string // "": all interfaces
	Port           int    // 0: one that is free
	AdvertisedHost string
	AdvertisedPort int // 0: the port that is listened on
}

// Voter is a node that keeps the metadata, and where other nodes reach it.
type Voter struct {
	ID      int32
	Address string // host:port; "" for a node that is alone
}

// Address is what to listen on.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// derive works out what several options say together. It gives everything that is wrong.
func (c *Config) derive() []string {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, role := range []string{"broker", "controller"} {
		if len(c.ProcessRoles) > 0 && !slices.Contains(c.ProcessRoles, role) {
			problem("process.roles=%s: a node is both broker and controller here; set broker,controller or remove the option", strings.Join(c.ProcessRoles, ","))
		}
	}
	voters, err := parseVoters(c.ControllerQuorumVoters)
	switch {
	case err != nil:
		problem("controller.quorum.voters: %v", err)
	case len(voters) == 0: // see below
	case !slices.ContainsFunc(voters, func(v Voter) bool { return v.ID == c.NodeID }):
		problem("controller.quorum.voters=%s must name this node as %d@host:port", strings.Join(c.ControllerQuorumVoters, ","), c.NodeID)
	}
	if len(c.LogDirs) != 1 {
		problem("log.dirs=%s: one folder holds all data; name one", strings.Join(c.LogDirs, ","))
	}
	listeners, err := parseListeners(c.ListenersText)
	if err != nil {
		problem("listeners: %v", err)
	}
	advertised, err := parseListeners(c.AdvertisedText)
	if err != nil {
		problem("advertised.listeners: %v", err)
	}
	protocols := map[string]string{}
	for _, pair := range SplitList(c.ProtocolMap) {
		name, protocol, _ := strings.Cut(pair, ":")
		protocols[strings.ToUpper(name)] = strings.ToUpper(protocol)
	}
	for _, l := range listeners {
		peer := slices.Contains(c.ControllerListenerNames, l.Name)
		protocol := protocols[l.Name]
		if protocol == "" && peer {
			protocol = "PLAINTEXT" // as Kafka has it when nothing else is said
		}
		switch {
		case protocol == "":
			problem("listeners: %s is not in listener.security.protocol.map; add %s:PLAINTEXT to it", l.Name, l.Name)
		case protocol != "PLAINTEXT":
			problem("listeners: %s speaks %s, and only PLAINTEXT is there yet", l.Name, protocol)
		}
		l.AdvertisedHost, l.AdvertisedPort = l.Host, l.Port
		for _, a := range advertised {
			if a.Name == l.Name {
				l.AdvertisedHost, l.AdvertisedPort = a.Host, a.Port
			}
		}
		if peer {
			c.PeerListeners = append(c.PeerListeners, l)
		} else {
			c.Listeners = append(c.Listeners, l)
		}
	}
	for _, a := range advertised {
		if !slices.ContainsFunc(listeners, func(l Listener) bool { return l.Name == a.Name }) {
			problem("advertised.listeners: %s is not among the listeners", a.Name)
		}
		if a.Host == "0.0.0.0" || a.Host == "::" {
			problem("advertised.listeners: clients cannot connect to %s; name an address that they can reach", a.Host)
		}
	}
	if c.Voters = voters; len(voters) == 0 {
		if c.Join, err = c.others(c.ControllerQuorumBootstrap); err != nil {
			problem("controller.quorum.bootstrap.servers: %v", err)
		}
		if len(c.Join) == 0 {
			c.Voters = []Voter{{ID: c.NodeID}}
		}
	}
	if (len(c.Voters) > 1 || len(c.Join) > 0) && len(c.PeerListeners) == 0 && len(problems) == 0 {
		problem("listeners=%s: none of them is for other nodes; add one that controller.listener.names names, as in CONTROLLER://:9093", c.ListenersText)
	}
	if len(c.Listeners) == 0 && len(problems) == 0 {
		problem("listeners=%s: none of them is for clients", c.ListenersText)
	}
	if c.HTTPListener != "" {
		if _, _, err := net.SplitHostPort(c.HTTPListener); err != nil {
			problem("http.listener=%s: write it as host:port, or leave it empty to turn it off", c.HTTPListener)
		}
	}
	if c.ConnectListener != "" {
		if _, _, err := net.SplitHostPort(c.ConnectListener); err != nil {
			problem("connect.listener=%s: write it as host:port, or leave it empty to turn Connect off", c.ConnectListener)
		}
	}
	return problems
}

// others gives the addresses that are not this node's own.
func (c *Config) others(addresses []string) (out []string, err error) {
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("%s: write it as host:port", address)
		}
		own := slices.ContainsFunc(c.PeerListeners, func(l Listener) bool {
			return strconv.Itoa(l.Port) == port && (host == l.Host || host == l.AdvertisedHost || host == "localhost" || host == "127.0.0.1" || host == "::1")
		})
		if !own {
			out = append(out, address)
		}
	}
	return out, nil
}

// parseVoters reads id@host:port.
func parseVoters(items []string) (out []Voter, err error) {
	for _, item := range items {
		id, address, ok := strings.Cut(item, "@")
		n, numeric := strconv.ParseInt(id, 10, 32)
		if _, port, err := net.SplitHostPort(address); !ok || numeric != nil || n < 0 || err != nil || port == "" {
			return nil, fmt.Errorf("%s: write it as id@host:port", item)
		}
		if slices.ContainsFunc(out, func(v Voter) bool { return v.ID == int32(n) }) {
			return nil, fmt.Errorf("%d is there twice: give each node a node.id of its own", n)
		}
		out = append(out, Voter{int32(n), address})
	}
	return out, nil
}

func parseListeners(text string) ([]Listener, error) {
	var out []Listener
	for _, item := range SplitList(text) {
		name, address, ok := strings.Cut(item, "://")
		if !ok {
			return nil, fmt.Errorf("%s: write it as NAME://host:port", item)
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("%s: write it as NAME://host:port", item)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%s: %s is not a port", item, port)
		}
		l := Listener{Name: strings.ToUpper(name), Host: host, Port: int(n)}
		for _, other := range out {
			if other.Name == l.Name {
				return nil, fmt.Errorf("%s is there twice", l.Name)
			}
			if other.Port == l.Port && l.Port != 0 && other.Host == l.Host {
				return nil, fmt.Errorf("%s and %s have the same address", other.Name, l.Name)
			}
		}
		out = append(out, l)
	}
	return out, nil
}
