//go:build bugs

package sim

import (
	"os"
	"strings"
	"testing"

	"github.com/weir/weir/internal/bugs"
)

// TestBugs turns on one planted bug after the other, and wants each to be found. SIM_BUG chooses one.
func TestBugs(t *testing.T) {
	for _, bug := range bugs.All {
		if one := os.Getenv("SIM_BUG"); one != "" && one != bug.Name {
			continue
		}
		t.Run(bug.Name, func(t *testing.T) {
			*bug.On = true
			defer func() { *bug.On = false }()
			for seed := range uint64(bug.Within) {
				if _, err := Run(Options{Seed: seed + 1}); err != nil {
					what, _, _ := strings.Cut(err.Error(), "\n")
					t.Log(what)
					return
				}
			}
			t.Errorf("%d seeds do not show that %s", bug.Within, bug.What)
		})
	}
}
