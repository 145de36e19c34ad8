package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/node"
	"github.com/weir/weir/replication"
)

func logVerifyCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "verify PATH...",
		Short: "Check the files of a data directory",
		Long: `Check a data directory, folders of partitions, or segment files, without changing anything: every
checksum, that offsets, Raft indexes and leader epochs follow each other, that index files and
checkpoints agree with the segments, and the voter journal. No broker is needed, and one may be running.

A finding is damage, if bytes are not what was written or are missing, which makes the exit code 1; or
it is unfinished: what a crash left behind, or is being written. The next start puts that right.

JSON: an object with the fields partitions, segments, bytes, records,
  findings: file, position (null: the file as a whole), damage (true or false), reason.`,
		Example: `  weir log verify weir-data
  weir log verify weir-data/orders-0 weir-data/orders-1
  weir log verify weir-data/orders-0/00000000000000000000.log
  weir log verify weir-data -o json | jq '.findings[] | select(.damage)'`,
		Args: needs("PATH", true),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: o.run(func(ctx context.Context, cmd *cobra.Command, paths []string) error {
			v := newVerification(ctx, cmd)
			defer v.progress.clear()
			for _, path := range paths {
				if err := v.path(path); err != nil {
					return err
				}
			}
			v.progress.clear()
			return joined(v.print(o.printer(cmd)), v.verdict())
		}),
	}
}

// findingJSON is a finding in JSON; its names are documented in the help.
type findingJSON struct {
	File     string `json:"file"`
	Position *int64 `json:"position"`
	Damage   bool   `json:"damage"`
	Reason   string `json:"reason"`
}

// verification is the check of what the command was given.
type verification struct {
	fs         vfs.FS
	check      *log.Checker
	progress   *checkProgress
	partitions int
	findings   []findingJSON
	topics     map[string]topicFolder
}

// topicFolder is the first folder that was seen of a topic, and the topic's id there.
type topicFolder struct {
	folder string
	id     [16]byte
}

func newVerification(ctx context.Context, cmd *cobra.Command) *verification {
	v := &verification{fs: vfs.NewOS(), progress: &checkProgress{progressLine: newProgressLine(cmd)}, topics: map[string]topicFolder{}}
	v.check = &log.Checker{
		FS:    v.fs,
		Found: func(f log.Finding) { v.found(f.File, f.Pos, f.Damage, f.Reason) },
		Read: func(n int64) error {
			v.progress.add(n, time.Now())
			return ctx.Err()
		},
	}
	return v
}

func (v *verification) found(file string, position int64, damage bool, reason string) {
	f := findingJSON{File: file, Damage: damage, Reason: reason}
	if position >= 0 {
		f.Position = &position
	}
	v.findings = append(v.findings, f)
}

// path checks a data directory, a partition's folder, or a segment file.
func (v *verification) path(path string) error {
	stat, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !stat.IsDir() {
		if filepath.Ext(path) != ".log" {
			return fmt.Errorf("%s is no segment file: give a .log file, a partition's folder or a data directory", path)
		}
		v.progress.begin(path, stat.Size())
		return v.check.Segment(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return isLogFile(e.Name()) }) {
		return v.partition(path)
	}
	return v.dataDir(path, entries)
}

func isLogFile(name string) bool {
	return slices.Contains([]string{".log", ".checkpoint"}, filepath.Ext(name))
}

// dataDir checks all that is in a data directory.
func (v *verification) dataDir(dir string, entries []os.DirEntry) error {
	_, err := node.ReadMeta(v.fs, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no data directory: give one (log.dirs), a partition's folder, or segment files", dir)
	}
	if err != nil {
		v.found(filepath.Join(dir, "meta.properties"), -1, true, err.Error())
	}
	v.journal(dir)
	for _, e := range entries {
		_, _, isPartition := partitionFolder(e.Name())
		folder := filepath.Join(dir, e.Name())
		switch {
		case !e.IsDir():
		case strings.HasSuffix(e.Name(), "-delete"):
			v.found(folder, -1, false, "a deleted topic's partition: the next start removes it")
		case isPartition, strings.HasSuffix(e.Name(), "-stray"):
			if err := v.partition(folder); err != nil && !errors.Is(err, fs.ErrNotExist) { // the topic was deleted meanwhile
				return err
			}
		}
	}
	return nil
}

func (v *verification) journal(dir string) {
	_, unfinished, err := replication.CheckJournal(v.fs, dir)
	file := filepath.Join(dir, "votes.journal")
	var damage *replication.DamageError
	switch {
	case errors.As(err, &damage):
		v.found(file, damage.Pos, true, damage.Reason)
	case errors.Is(err, fs.ErrNotExist):
		v.found(file, -1, true, "it is missing")
	case err != nil:
		v.found(file, -1, true, err.Error())
	case unfinished > 0:
		v.found(file, -1, false, fmt.Sprintf("its last %d bytes are not whole: the next start leaves them out", unfinished))
	}
}

// partition checks a partition's folder.
func (v *verification) partition(dir string) error {
	v.partitions++
	v.progress.begin(dir, sizeOf(dir))
	id, err := v.check.Folder(dir)
	if err != nil || id == (log.Identity{}) {
		return err
	}
	topic, number, ok := partitionFolder(filepath.Base(dir))
	if !ok {
		return nil // the user has named it otherwise, or it is a stray one
	}
	if number != id.Partition {
		v.found(dir, -1, true, fmt.Sprintf("its segments belong to partition %d", id.Partition))
	}
	of := filepath.Join(filepath.Dir(dir), topic)
	if first, seen := v.topics[of]; !seen {
		v.topics[of] = topicFolder{dir, id.TopicID}
	} else if first.id != id.TopicID {
		v.found(dir, -1, true, fmt.Sprintf("its segments belong to topic id %s, and those of %s to %s",
			hex.EncodeToString(id.TopicID[:]), filepath.Base(first.folder), hex.EncodeToString(first.id[:])))
	}
	return nil
}

// partitionFolder splits the name of a partition's folder: <topic>-<partition>.
func partitionFolder(name string) (topic string, partition int32, ok bool) {
	cut := strings.LastIndexByte(name, '-')
	if cut <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(name[cut+1:], 10, 32)
	return name[:cut], int32(n), err == nil && n >= 0
}

// sizeOf gives the size of the files in a folder that a check reads.
func sizeOf(dir string) int64 {
	entries, _ := os.ReadDir(dir) // it is for the progress only
	size := int64(0)
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".log" || ext == ".index" {
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
		}
	}
	return size
}

func (v *verification) print(p *printer) error {
	sum := v.check.Sum
	if p.json {
		return p.document(struct {
			Partitions int           `json:"partitions"`
			Segments   int           `json:"segments"`
			Bytes      int64         `json:"bytes"`
			Records    int64         `json:"records"`
			Findings   []findingJSON `json:"findings"`
		}{v.partitions, sum.Segments, sum.Bytes, sum.Records, orEmpty(v.findings)})
	}
	if len(v.findings) > 0 {
		t := newTable("FILE", "POSITION?", "KIND", "FINDING")
		for _, f := range v.findings {
			kind := "unfinished"
			if f.Damage {
				kind = "damage"
			}
			t.row(f.File, number(f.Position), kind, f.Reason)
		}
		if err := p.table(t); err != nil {
			return err
		}
	}
	in := ""
	if v.partitions > 0 {
		in = " of " + plural(int64(v.partitions), "partition")
	}
	return p.line("Checked %s%s: %s, %s.", plural(int64(sum.Segments), "segment"), in, bytesText(float64(sum.Bytes)), plural(sum.Records, "record"))
}

// verdict is an error if there is damage.
func (v *verification) verdict() error {
	damaged := 0
	for _, f := range v.findings {
		if f.Damage {
			damaged++
		}
	}
	if damaged == 0 {
		return nil
	}
	return fmt.Errorf("there is damage in %s: restore these files from a backup, and check the disk", plural(int64(damaged), "place"))
}

// checkProgress shows how far the check is.
type checkProgress struct {
	*progressLine
	what        string
	done, total int64
}

// begin says what is checked now, and how many bytes that is.
func (p *checkProgress) begin(what string, total int64) { p.what, p.done, p.total = what, 0, total }

func (p *checkProgress) add(n int64, now time.Time) {
	p.done += n
	p.show(now, func() string {
		return fmt.Sprintf("Checking %s: %s of %s", escape(p.what), bytesText(float64(p.done)), bytesText(float64(p.total)))
	})
}
