package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// connected is the shop with its orders in PostgreSQL and its search in OpenSearch. Connectors carry all between them:
//
//	PostgreSQL: orders, deliveries, dispatches ──▶ topics ──▶ OpenSearch: orders
//	                                                  └──▶ the counter ──▶ topic ──▶ PostgreSQL: stock
type connected struct {
	*shop
	db     *pgconn.PgConn
	search string // URL of OpenSearch
}

// tables are those of the shop. Orders, deliveries and dispatches are written by its systems, stock by a connector.
const tables = `
CREATE TABLE orders (id text PRIMARY KEY, customer text, name text, product text, quantity int, ordered timestamptz);
CREATE TABLE deliveries (id bigint PRIMARY KEY, product text, quantity int);
CREATE TABLE dispatches (id text PRIMARY KEY, product text, quantity int);
CREATE TABLE stock (product text PRIMARY KEY, available int, sold int);`

// runConnected plays the story of the connectors.
func runConnected(ctx context.Context, out io.Writer, seeds string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("the shop had three minutes for everything"))
	defer cancel()
	events, err := loadEvents()
	if err != nil {
		return err
	}
	c := &connected{shop: &shop{out: out, seeds: seeds, events: events}, search: os.Getenv("SHOP_SEARCH_URL")}
	if err := c.open(ctx); err != nil {
		return err
	}
	defer c.db.Close(context.WithoutCancel(ctx))
	customers := map[string]string{}
	for _, e := range events {
		if e.Kind == registered {
			customers[e.Customer] = e.Name
		}
	}
	third := len(events) / 3
	if err := c.write(ctx, events[:third], customers, 0); err != nil {
		return err
	}
	c.printf("A third of the shop's days is in PostgreSQL already.\n")
	for _, name := range []string{"orders", "search", "stock"} {
		if err := c.command(ctx, "create", "examples/shop/connectors/"+name+".json"); err != nil {
			return err
		}
	}
	counting, stop := context.WithCancel(ctx)
	defer stop()
	counted := make(chan error, 1)
	go func() { counted <- countChanges(counting, seeds) }()
	c.printf("Orders come in, and are sent.\n")
	if err := c.write(ctx, events[third:], customers, 20*time.Millisecond); err != nil {
		return err
	}
	want := straight(events, events[len(events)-1].Time)
	c.agree(ctx, "the table stock in PostgreSQL, counted from the topics and written back, is what the data file says", func() (string, error) { return c.wrongStock(ctx, want) })
	c.agree(ctx, "every order is a document in OpenSearch, as it is in PostgreSQL", func() (string, error) { return c.wrongDocuments(ctx) })
	c.printf("Some customers want more, and some nothing any more.\n")
	const more, less = "UPDATE orders SET quantity = quantity + 1 WHERE id IN (SELECT id FROM orders ORDER BY id LIMIT 20)", "DELETE FROM orders WHERE id IN (SELECT id FROM orders ORDER BY id DESC LIMIT 10)"
	for _, sql := range []string{more, less} {
		if _, err := c.query(ctx, sql); err != nil {
			return err
		}
	}
	c.agree(ctx, "their orders are changed and gone in OpenSearch", func() (string, error) { return c.wrongDocuments(ctx) })
	c.agree(ctx, "a search for a name finds the orders of that customer", func() (string, error) { return c.wrongSearch(ctx, "Ada Abel") })
	c.agree(ctx, "the table stock agrees with what the other tables say by now", func() (string, error) {
		want, err := c.sold(ctx)
		if err != nil {
			return "", err
		}
		return c.wrongStock(ctx, want)
	})
	stop()
	if err := <-counted; err != nil {
		return err
	}
	if err := c.command(ctx, "status"); err != nil {
		return err
	}
	return c.verdict()
}

// open connects to PostgreSQL, and waits for it, for OpenSearch and for the node.
func (c *connected) open(ctx context.Context) error {
	in := func(database string) string {
		return fmt.Sprintf("host=127.0.0.1 port=%s user=postgres password=%s dbname=%s sslmode=disable", os.Getenv("SHOP_POSTGRES_PORT"), os.Getenv("SHOP_POSTGRES_PASSWORD"), database)
	}
	var last error
	err := poll(ctx, func() (bool, error) {
		var db *pgconn.PgConn
		if db, last = pgconn.Connect(ctx, in("postgres")); last != nil {
			return false, nil
		}
		defer db.Close(ctx)
		_, last = db.Exec(ctx, "CREATE DATABASE shop").ReadAll()
		return true, last
	}, func() string { return fmt.Sprintf("PostgreSQL does not answer: %v", last) })
	if err != nil {
		return err
	}
	if c.db, err = pgconn.Connect(ctx, in("shop")); err != nil {
		return err
	}
	if _, err := c.query(ctx, tables); err != nil {
		return err
	}
	for what, at := range map[string]string{"OpenSearch": c.search + "/_cluster/health", "the node's Connect": os.Getenv("WEIR_CONNECT_URL") + "/connectors"} {
		if err := poll(ctx, func() (bool, error) { last = ask(ctx, at, nil, nil); return last == nil, nil }, func() string { return fmt.Sprintf("%s does not answer: %v", what, last) }); err != nil {
			return err
		}
	}
	return nil
}

// query runs statements, and gives the rows of the last.
func (c *connected) query(ctx context.Context, sql string) ([][]string, error) {
	results, err := c.db.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	var out [][]string
	for _, row := range results[len(results)-1].Rows {
		var texts []string
		for _, v := range row {
			texts = append(texts, string(v))
		}
		out = append(out, texts)
	}
	return out, nil
}

// write writes events to the tables, 20 a transaction, with pauses.
func (c *connected) write(ctx context.Context, events []Event, names map[string]string, pause time.Duration) error {
	for batch := range slices.Chunk(events, 20) {
		sql := []string{"BEGIN"}
		for _, e := range batch {
			switch e.Kind {
			case ordered:
				sql = append(sql, fmt.Sprintf("INSERT INTO orders VALUES ('%s', '%s', '%s', '%s', %d, '%s')", e.Order, e.Customer, names[e.Customer], e.Product, e.Quantity, e.Time.Format(time.RFC3339Nano)))
			case delivered:
				sql = append(sql, fmt.Sprintf("INSERT INTO deliveries SELECT count(*), '%s', %d FROM deliveries", e.Product, e.Quantity))
			case dispatched:
				sql = append(sql, fmt.Sprintf("INSERT INTO dispatches VALUES ('%s', '%s', %d)", e.Order, e.Product, e.Quantity))
			}
		}
		if _, err := c.query(ctx, strings.Join(append(sql, "COMMIT"), "; ")); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// command runs weir connect.
func (c *connected) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "bin/weir", append([]string{"connect"}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = c.out, &said
	c.printf("$ weir connect %s\n", strings.Join(args, " "))
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("weir connect %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return nil
}

// agree checks something that has to become so.
func (c *connected) agree(ctx context.Context, what string, wrong func() (string, error)) {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	problem := "it could not be asked"
	err := poll(ctx, func() (bool, error) {
		now, err := wrong()
		if err == nil {
			problem = now
		} else {
			problem = err.Error()
		}
		return err == nil && now == "", nil
	}, func() string { return problem })
	if err != nil {
		c.check(what, problem)
		return
	}
	c.check(what, "")
}

// wrongStock compares the table stock with what it has to be.
func (c *connected) wrongStock(ctx context.Context, want Table) (string, error) {
	rows, err := c.query(ctx, "SELECT product, available, sold FROM stock")
	if err != nil {
		return "", err
	}
	got := Table{}
	for _, row := range rows {
		got[row[0]] = Row{Available: whole(row[1]), Sold: whole(row[2])}
	}
	want = maps.Clone(want)
	for p, row := range want {
		row.Searched = 0 // what customers look for is not in the database
		want[p] = row
	}
	return diff(got, want), nil
}

// sold computes the table by PostgreSQL itself.
func (c *connected) sold(ctx context.Context) (Table, error) {
	out := Table{}
	for sql, add := range map[string]func(*Row, int){
		"SELECT product, sum(quantity) FROM orders GROUP BY 1":     func(r *Row, n int) { r.Sold += n },
		"SELECT product, sum(quantity) FROM deliveries GROUP BY 1": func(r *Row, n int) { r.Available += n },
		"SELECT product, sum(quantity) FROM dispatches GROUP BY 1": func(r *Row, n int) { r.Available -= n },
	} {
		rows, err := c.query(ctx, sql)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			r := out[row[0]]
			add(&r, whole(row[1]))
			out[row[0]] = r
		}
	}
	return out, nil
}

// document is an order in OpenSearch.
type document struct {
	ID, Customer, Name, Product string
	Quantity                    int
	Ordered                     time.Time
}

// documents gives what a search finds.
func (c *connected) documents(ctx context.Context, query string) (map[string]document, error) {
	if err := ask(ctx, c.search+"/orders/_refresh", nil, nil); err != nil {
		return nil, err
	}
	var found struct {
		Hits struct {
			Hits []struct {
				ID     string   `json:"_id"`
				Source document `json:"_source"`
			}
		}
	}
	if err := ask(ctx, c.search+"/orders/_search", json.RawMessage(`{"size": 10000, "query": `+query+`}`), &found); err != nil {
		return nil, err
	}
	out := map[string]document{}
	for _, hit := range found.Hits.Hits {
		hit.Source.Ordered = hit.Source.Ordered.UTC()
		out[hit.ID] = hit.Source
	}
	return out, nil
}

// wrongDocuments compares the documents that there are with the orders.
func (c *connected) wrongDocuments(ctx context.Context) (string, error) {
	return c.wrongFinds(ctx, `{"match_all": {}}`, "")
}

// wrongSearch compares what a search for a name finds with the orders of who has it.
func (c *connected) wrongSearch(ctx context.Context, name string) (string, error) {
	return c.wrongFinds(ctx, `{"match_phrase": {"name": "`+name+`"}}`, "WHERE name = '"+name+"'")
}

func (c *connected) wrongFinds(ctx context.Context, query, where string) (string, error) {
	rows, err := c.query(ctx, "SELECT id, customer, name, product, quantity, extract(epoch FROM ordered)::bigint FROM orders "+where)
	if err != nil {
		return "", err
	}
	got, err := c.documents(ctx, query)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		want := document{row[0], row[1], row[2], row[3], whole(row[4]), time.Unix(int64(whole(row[5])), 0).UTC()}
		have := got[row[0]]
		have.Ordered = have.Ordered.Truncate(time.Second)
		if have != want {
			return fmt.Sprintf("order %s is %+v, want %+v", row[0], have, want), nil
		}
	}
	if len(got) != len(rows) || len(rows) == 0 {
		return fmt.Sprintf("%d documents are found for %d orders", len(got), len(rows)), nil
	}
	return "", nil
}

func whole(text string) (n int) {
	_, _ = fmt.Sscan(text, &n)
	return n
}

// ask sends a request, with a body as JSON unless it is nil, and reads the answer into out unless that is nil.
func ask(ctx context.Context, at string, body json.RawMessage, out any) error {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errors.Unwrap(err.(*url.Error))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return errors.Join(err, fmt.Errorf("%s: %s", resp.Status, b))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// printPort prints a port that nobody uses.
func printPort(out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, l.Addr().(*net.TCPAddr).Port)
	return errors.Join(err, l.Close())
}
