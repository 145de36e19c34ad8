package opensearch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// outcome is what became of an item.
type outcome struct {
	Status int     `json:"status"`
	Error  *reason `json:"error"`
}

// reason is why a server does not do what it was asked.
type reason struct {
	Type     string  `json:"type"`
	Reason   string  `json:"reason"`
	CausedBy *reason `json:"caused_by"`
}

func (r *reason) String() string {
	text := r.Type + ": " + r.Reason
	if r.CausedBy != nil && r.CausedBy.Reason != "" {
		text += " (" + r.CausedBy.Type + ": " + r.CausedBy.Reason + ")"
	}
	return text
}

var allFine = []byte(`{"errors":false`)

// outcomes reads the answer to a bulk request; none: all is done.
func outcomes(answer []byte, items int) ([]outcome, error) {
	if bytes.HasPrefix(answer, allFine) {
		return nil, nil
	}
	var parsed struct {
		Errors *bool                 `json:"errors"`
		Items  []map[string]*outcome `json:"items"`
	}
	if err := json.Unmarshal(answer, &parsed); err != nil || parsed.Errors == nil {
		return nil, fmt.Errorf("what was answered is no answer to a bulk request")
	}
	if !*parsed.Errors {
		return nil, nil
	}
	if len(parsed.Items) != items {
		return nil, fmt.Errorf("%d of %d operations were answered", len(parsed.Items), items)
	}
	out := make([]outcome, items)
	for i, one := range parsed.Items {
		for _, o := range one {
			if o != nil {
				out[i] = *o
			}
		}
	}
	return out, nil
}

// verdict is what is to be done about an item.
type verdict uint8

const (
	done     verdict = iota
	again            // it is sent again
	stale            // what it was for is not there any more
	conflict         // the document is newer
	denied           // the user may not
	malformed
	refused // for another reason
)

// judge decides about an item.
func judge(it *item, o outcome) verdict {
	if o.Error == nil {
		return done
	}
	switch {
	case o.Error.Type == "cluster_block_exception": // read-only, perhaps since the disk is full
		return again
	case o.Status == 429, o.Status >= 500:
		return again
	case o.Error.Type == "index_not_found_exception":
		return stale
	case o.Status == 409 && it.kind == opUpdate:
		return again
	case o.Status == 409 && it.versioned && !repeated(o.Error.Reason):
		return conflict
	case o.Status == 409:
		return done // it was written before
	case o.Status == 401, o.Status == 403:
		return denied
	case o.Status == 400:
		return malformed
	}
	return refused
}

// repeated tells whether a document has the very version that was sent.
func repeated(reason string) bool {
	_, rest, _ := strings.Cut(reason, "current version [")
	current, rest, ok := strings.Cut(rest, "]")
	_, rest, _ = strings.Cut(rest, "provided [")
	provided, _, ok2 := strings.Cut(rest, "]")
	return ok && ok2 && current == provided
}

// why reads the reason from the answer to a request that fails.
func why(answer []byte) *reason {
	var parsed struct {
		Error json.RawMessage `json:"error"`
	}
	var r reason
	if json.Unmarshal(answer, &parsed) != nil || json.Unmarshal(parsed.Error, &r) != nil || r.Type == "" {
		text := string(bytes.TrimSpace(answer[:min(len(answer), 200)]))
		return &reason{Type: "answer", Reason: cmp.Or(text, "none")}
	}
	return &r
}
