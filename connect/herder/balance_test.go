package herder

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// group is workers that do what they are told, and a leader.
type group struct {
	t        rapid.TB
	now      time.Time
	balancer *Balancer
	owns     map[string]Work // by URL
	all      Work
}

func newGroup(t rapid.TB, delay time.Duration) *group {
	return &group{t: t, now: time.UnixMilli(0), balancer: &Balancer{Delay: delay}, owns: map[string]Work{}, all: Work{}}
}

// round lets the group rebalance once, and tells whether anything was revoked, and when to come again.
func (g *group) round() (revoked int, wait time.Duration) {
	var members []Member
	for url, owns := range g.owns {
		members = append(members, Member{"id of " + url, url, maps.Clone(owns)})
	}
	shares, wait := g.balancer.Assign(g.now, members, g.all)
	for url := range g.owns {
		share, ok := shares["id of "+url]
		if !ok {
			g.t.Fatalf("%s is told nothing", url)
		}
		for id := range share.Revoke {
			if !g.owns[url][id] {
				g.t.Fatalf("%s shall give up %s, which it does not have", url, id)
			}
			delete(g.owns[url], id)
		}
		revoked += len(share.Revoke)
	}
	// Workers hear at different times: what somebody gets must be nobody's even before the others have heard.
	for url := range g.owns {
		for id := range shares["id of "+url].Add {
			for _, m := range members {
				if m.Owns[id] {
					g.t.Fatalf("%s gets %s, which %s has", url, id, m.URL)
				}
			}
			for other, owns := range g.owns {
				if owns[id] {
					g.t.Fatalf("%s and %s both get %s", url, other, id)
				}
			}
			if !g.all[id] {
				g.t.Fatalf("%s gets %s, which is not there", url, id)
			}
			g.owns[url][id] = true
		}
	}
	return revoked, wait
}

// settle lets the group rebalance until it wants no more, and gives how long the work of lost workers waits.
func (g *group) settle() time.Duration {
	for range 4 {
		if revoked, wait := g.round(); revoked == 0 {
			return wait
		}
	}
	g.t.Fatalf("the group does not come to rest: %v", g.owns)
	return 0
}

func (g *group) spread(connectors bool) (least, most int) {
	counts := []int{}
	for _, owns := range g.owns {
		counts = append(counts, owns.count(connectors))
	}
	return slices.Min(counts), slices.Max(counts)
}

func (g *group) checkWhole() {
	owned := 0
	for _, owns := range g.owns {
		owned += len(owns)
		for id := range owns {
			if !g.all[id] {
				g.t.Fatalf("%s is run, and not there any more", id)
			}
		}
	}
	if owned != len(g.all) {
		g.t.Fatalf("%d of %d are run: %v", owned, len(g.all), g.owns)
	}
	for _, connectors := range []bool{true, false} {
		if least, most := g.spread(connectors); most-least > 1 {
			g.t.Fatalf("unbalanced, %d to %d: %v", least, most, g.owns)
		}
	}
}

func (g *group) add(connector string, tasks int) {
	for i := Itself; i < tasks; i++ {
		g.all[ID{connector, i}] = true
	}
}

// TestGroupsComeToRest: whatever happens to a group, nothing is ever run twice, all is run in the end, and evenly.
func TestGroupsComeToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGroup(t, time.Duration(rapid.IntRange(0, 3).Draw(t, "delay"))*time.Second)
		g.owns["w0"] = Work{}
		t.Repeat(map[string]func(*rapid.T){
			"a worker comes": func(t *rapid.T) {
				url := fmt.Sprintf("w%d", rapid.IntRange(0, 4).Draw(t, "worker"))
				g.owns[url] = Work{} // or it was killed and started again
			},
			"a worker goes": func(t *rapid.T) {
				if len(g.owns) > 1 {
					delete(g.owns, rapid.SampledFrom(slices.Sorted(maps.Keys(g.owns))).Draw(t, "worker"))
				}
			},
			"another leads": func(*rapid.T) { g.balancer = &Balancer{Delay: g.balancer.Delay} },
			"a connector changes": func(t *rapid.T) {
				name := fmt.Sprintf("c%d", rapid.IntRange(0, 5).Draw(t, "connector"))
				maps.DeleteFunc(g.all, func(id ID, _ bool) bool { return id.Connector == name })
				if tasks := rapid.IntRange(-1, 6).Draw(t, "tasks"); tasks >= 0 {
					g.add(name, tasks)
				}
			},
			"time passes": func(t *rapid.T) { g.now = g.now.Add(time.Second) },
			"a round":     func(*rapid.T) { g.round() },
			"": func(*rapid.T) {
				for url, owns := range g.owns {
					for other, owns2 := range g.owns {
						for id := range owns {
							if url != other && owns2[id] {
								t.Fatalf("%s and %s both run %s", url, other, id)
							}
						}
					}
				}
			},
		})
		g.settle()
		g.now = g.now.Add(g.balancer.Delay)
		if wait := g.settle(); wait != 0 {
			t.Fatalf("still %v to wait", wait)
		}
		g.checkWhole()
		before := map[string]Work{}
		for url, owns := range g.owns {
			before[url] = maps.Clone(owns)
		}
		g.round()
		for url := range before {
			if !maps.Equal(before[url], g.owns[url]) {
				t.Fatalf("a round without a reason changes what %s runs from %v to %v", url, before[url], g.owns[url])
			}
		}
	})
}

// TestLostWorkWaits: it goes back to the worker that comes again, and to others only after the delay.
func TestLostWorkWaits(t *testing.T) {
	const delay = 30 * time.Second
	begin := func() (*group, Work) {
		g := newGroup(t, delay)
		g.add("a", 3)
		g.add("b", 3)
		g.owns["w1"], g.owns["w2"], g.owns["w3"] = Work{}, Work{}, Work{}
		g.settle()
		lost := g.owns["w3"]
		delete(g.owns, "w3")
		return g, lost
	}
	t.Run("it stays away", func(t *testing.T) {
		g, lost := begin()
		if wait := g.settle(); wait != delay {
			t.Fatalf("waits %v", wait)
		}
		for _, owns := range g.owns {
			if rest := lost.Without(owns); len(rest) != len(lost) {
				t.Fatalf("moved at once: %v of %v is left", rest, lost)
			}
		}
		g.now = g.now.Add(delay - time.Second)
		if wait := g.settle(); wait != time.Second {
			t.Fatalf("waits %v", wait)
		}
		g.now = g.now.Add(time.Second)
		g.settle()
		g.checkWhole()
	})
	t.Run("it comes back", func(t *testing.T) {
		g, lost := begin()
		g.settle()
		g.owns["w3"] = Work{}
		if wait := g.settle(); wait != 0 || !maps.Equal(g.owns["w3"], lost) {
			t.Fatalf("it had %v, gets %v; wait %v", lost, g.owns["w3"], wait)
		}
	})
	t.Run("its connectors are deleted", func(t *testing.T) {
		g, _ := begin()
		g.all = Work{}
		if wait := g.settle(); wait != 0 {
			t.Fatalf("waits %v for nothing", wait)
		}
	})
}

// TestChangesDisturbNobodyElse: what comes and goes moves only itself, and a new worker gets its part of the rest and no more.
func TestChangesDisturbNobodyElse(t *testing.T) {
	g := newGroup(t, time.Minute)
	g.add("a", 6)
	g.owns["w1"], g.owns["w2"] = Work{}, Work{}
	g.settle()
	g.add("b", 4)
	if revoked, _ := g.round(); revoked != 0 {
		t.Errorf("a new connector takes %d pieces from where they were", revoked)
	}
	g.checkWhole()
	g.owns["w3"] = Work{}
	revoked, _ := g.round()
	if least, most := g.spread(false); least != 0 || most != 4 || revoked != 3 {
		t.Errorf("for a third worker %d are revoked, which leaves %d to %d tasks", revoked, least, most)
	}
	if revoked, _ = g.round(); revoked != 0 {
		t.Errorf("then %d more are revoked", revoked)
	}
	g.checkWhole()
}
