package cli

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weir/weir/internal/load"
)

// benchJSON is a result in JSON; its names are documented in the help.
type benchJSON struct {
	Benchmark    string       `json:"benchmark"`
	Topic        string       `json:"topic"`
	Partitions   int32        `json:"partitions"`
	RecordBytes  *int         `json:"record_bytes"`
	Payload      *string      `json:"payload"`
	Compression  *string      `json:"compression"`
	CompressedTo *float64     `json:"compressed_to"`
	Acks         *string      `json:"acks"`
	Connections  int          `json:"connections"`
	InFlight     int          `json:"in_flight"`
	TargetRate   *float64     `json:"target_rate"`
	Seconds      float64      `json:"seconds"`
	Records      int64        `json:"records"`
	Bytes        int64        `json:"bytes"`
	RecordRate   float64      `json:"records_per_second"`
	MegabyteRate float64      `json:"megabytes_per_second"`
	Ack          *latencyJSON `json:"ack_ms"`
	Late         *latencyJSON `json:"late_ms"`
	EndToEnd     *latencyJSON `json:"end_to_end_ms"`
	Client       *usageJSON   `json:"client"`
	Brokers      *usageJSON   `json:"brokers"`
}

type latencyJSON struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

type usageJSON struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	CPUPerGB     float64 `json:"cpu_seconds_per_gb"`
	CPUPerRecord float64 `json:"cpu_us_per_record"`
	RSS          int64   `json:"rss_bytes"`
}

func (b *bench) result(s *load.Spec, r load.Result, given bool) (benchJSON, error) {
	seconds := max(r.Seconds, 1e-9)
	j := benchJSON{
		Benchmark: b.kind, Topic: b.topic, Partitions: b.partitions, Connections: b.connections, InFlight: b.inFlight,
		Seconds: digits(r.Seconds), Records: r.Records, Bytes: r.Bytes,
		RecordRate: digits(float64(r.Records) / seconds), MegabyteRate: digits(float64(r.Bytes) / 1e6 / seconds),
		Ack: latencyOf(r.Ack), Late: latencyOf(r.Late), EndToEnd: latencyOf(r.EndToEnd), Client: usageOf(r.Client, r),
	}
	if len(b.pids) > 0 {
		j.Brokers = usageOf(r.Brokers, r)
	}
	if b.rate > 0 {
		j.TargetRate = &b.rate
	}
	if b.kind == "consume" && given {
		return j, nil
	}
	size, to := s.Payload.Bytes(), 1.0
	to, err := s.Payload.CompressedTo(s.Codec)
	to = digits(to)
	j.RecordBytes, j.Payload, j.Compression, j.CompressedTo, j.Acks = &size, &b.payload, &b.compression, &to, &b.acks
	return j, err
}

func latencyOf(h *load.Histogram) *latencyJSON {
	if h == nil || h.Count() == 0 {
		return nil
	}
	ms := func(d time.Duration) float64 { return digits(float64(d) / float64(time.Millisecond)) }
	return &latencyJSON{ms(h.Quantile(.5)), ms(h.Quantile(.9)), ms(h.Quantile(.99)), ms(h.Quantile(.999)), ms(h.Max()), ms(h.Mean())}
}

func usageOf(u load.Usage, r load.Result) *usageJSON {
	return &usageJSON{
		digits(u.CPUSeconds),
		digits(u.CPUSeconds / max(float64(r.Bytes)/1e9, 1e-9)),
		digits(u.CPUSeconds / float64(max(r.Records, 1)) * 1e6),
		u.RSS,
	}
}

// digits gives a number with as many digits as a measurement is good for.
func digits(f float64) float64 {
	const good = 4
	if f == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(f)))-good+1)
	if unit >= 1 {
		return math.Round(f)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'g', good, 64), 64)
	return rounded
}

func (b *bench) print(p *printer, s *load.Spec, r load.Result, given bool) error {
	j, err := b.result(s, r, given)
	if err != nil {
		return err
	}
	if p.json {
		return p.document(j)
	}
	rates := newTable("RECORDS", "SECONDS", "RECORDS/S", "MB/S", "TARGET-RATE?", "PAYLOAD?", "COMPRESSED-TO?")
	target, payload, to := "", "", ""
	if j.TargetRate != nil {
		target = fmt.Sprint(*j.TargetRate)
	}
	if j.Payload != nil {
		payload = fmt.Sprintf("%s:%s", *j.Payload, &b.recordBytes)
		if *j.Compression != "none" {
			to = fmt.Sprintf("%.0f%%", *j.CompressedTo*100)
		}
	}
	rates.row(j.Records, fmt.Sprintf("%.2f", j.Seconds), fmt.Sprintf("%.0f", j.RecordRate), fmt.Sprintf("%.1f", j.MegabyteRate), target, payload, to)
	if err := p.table(rates); err != nil {
		return err
	}
	if err := printLatencies(p, j); err != nil {
		return err
	}
	return printUsages(p, j)
}

func printLatencies(p *printer, j benchJSON) error {
	t := newTable("MS", "P50", "P90", "P99", "P99.9", "MAX", "MEAN")
	for _, line := range []struct {
		name string
		of   *latencyJSON
	}{{"acknowledged", j.Ack}, {"read", j.EndToEnd}, {"sent-late", j.Late}} {
		if l := line.of; l != nil {
			t.row(line.name, l.P50, l.P90, l.P99, l.P999, l.Max, l.Mean)
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	if err := p.line(""); err != nil {
		return err
	}
	return p.table(t)
}

func printUsages(p *printer, j benchJSON) error {
	t := newTable("PROCESS", "CPU-S", "CPU-S/GB", "CPU-US/RECORD", "RSS")
	for _, line := range []struct {
		name string
		of   *usageJSON
	}{{"client", j.Client}, {"brokers", j.Brokers}} {
		if u := line.of; u != nil {
			t.row(line.name, u.CPUSeconds, u.CPUPerGB, u.CPUPerRecord, wordOf(bytesText(float64(u.RSS))))
		}
	}
	if err := p.line(""); err != nil {
		return err
	}
	return p.table(t)
}
