package connect

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The passwords of the tests, which must be seen nowhere.
const (
	goodPassword  = "open-sesame-4711"
	wrongPassword = "hocus-pocus-0815"
)

// clear tells what is wrong with what is said to people: it has to be one sentence or two in one line, without what is of the program's
// inner life.
func clear(text string) string {
	for _, bad := range []string{"\n", "goroutine ", ".go:", "panic", "<nil>", "%!", goodPassword, wrongPassword} {
		if strings.Contains(text, bad) {
			return bad
		}
	}
	if len(text) > 400 {
		return "more than 400 letters"
	}
	return ""
}

// wrongs gives the errors of an answer of the validation.
func wrongs(t *testing.T, answer string) map[string][]string {
	t.Helper()
	var told struct {
		Configs []struct {
			Value struct {
				Name   string
				Errors []string
			}
		}
	}
	if err := json.Unmarshal([]byte(answer), &told); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	out := map[string][]string{}
	for _, c := range told.Configs {
		if len(c.Value.Errors) > 0 {
			out[c.Value.Name] = c.Value.Errors
		}
	}
	return out
}

// TestTrouble: what is wrong is told by the validation, or by the task's status, in a sentence that says what to do. A password that is
// referred to is nowhere: in no answer, in no log, in no topic.
func TestTrouble(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	pg.run("postgres", "CREATE DATABASE trouble")
	pg.run("postgres", "CREATE ROLE capture LOGIN SUPERUSER PASSWORD '"+goodPassword+"'; CREATE ROLE mere LOGIN PASSWORD '"+goodPassword+"'")
	pg.run("trouble", "CREATE TABLE a (id int PRIMARY KEY, v text)")
	hba := "host all capture,mere 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\nhost replication postgres 127.0.0.1/32 trust\n"
	if err := os.WriteFile(pg.dir+"/data/pg_hba.conf", []byte(hba), 0o644); err != nil {
		t.Fatal(err)
	}
	pg.run("postgres", "SELECT pg_reload_conf()")
	await(t, "passwords to be asked for", func() bool {
		rows, err := pg.query("postgres", "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256'")
		return err == nil && rows[0][0] == "1"
	})
	replica := startPostgres(t, "wal_level=replica")
	node := startNode(t, "RIGHT="+goodPassword, "WRONG="+wrongPassword)
	good := pg.props("trouble", "database.user", "capture", "database.password", "${env:RIGHT}")
	var answers []string
	ask := func(method, path string, body any) (int, string) {
		t.Helper()
		status, answer := node.ask(method, path, body)
		answers = append(answers, answer)
		return status, answer
	}
	with := func(more ...string) map[string]string {
		out := maps.Clone(good)
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	const class = "/connector-plugins/io.debezium.connector.postgresql.PostgresConnector/config/validate"
	for name, test := range map[string]struct {
		config       map[string]string
		option, says string
	}{
		"wrong password":   {with("database.password", "${env:WRONG}"), "database.hostname", "Check database.user and database.password"},
		"no password":      {with("database.password", "${env:NOT_SET}"), "", "NOT_SET"},
		"no such database": {with("database.dbname", "nope"), "database.hostname", "Check database.dbname"},
		"nobody there":     {with("database.port", "1"), "database.hostname", "PostgreSQL at 127.0.0.1:1 cannot be reached: connection refused. Check database.hostname and database.port"},
		"no such host":     {with("database.hostname", "no-such-host.invalid"), "database.hostname", "Check database.hostname"},
		"may not":          {with("database.user", "mere"), "database.user", `user "mere" may not replicate: run ALTER ROLE "mere" REPLICATION`},
		"wal_level":        {replica.props("postgres"), "database.hostname", "set wal_level = logical in postgresql.conf and restart PostgreSQL"},
		"a typo":           {with("table.inclde.list", "public.a"), "table.inclde.list", "did you mean table.include.list?"},
		"a wrong value":    {with("snapshot.mode", "sometimes"), "snapshot.mode", "initial"},
		"no number":        {with("max.batch.size", "many"), "max.batch.size", "many"},
		"not supported":    {with("converters", "mine"), "converters", "converters is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config["name"] = "t"
			_, answer := ask("PUT", class, test.config)
			all := wrongs(t, answer)
			found := false
			for option, errors := range all {
				for _, e := range errors {
					found = found || (test.option == "" || option == test.option) && strings.Contains(e, test.says)
					if bad := clear(e); bad != "" {
						t.Errorf("%s says %q, in which is %q", option, e, bad)
					}
				}
			}
			if !found {
				t.Errorf("the validation says %v, want %s of %s", all, test.says, test.option)
			}
			if status, answer := ask("POST", "/connectors", map[string]any{"name": "t", "config": test.config}); status != 400 || !strings.Contains(answer, strings.ReplaceAll(test.says, `"`, `\"`)) {
				t.Errorf("creating it: %d %s", status, answer)
			}
		})
	}
	t.Run("missing table", func(t *testing.T) {
		node.connector("missing", with("table.include.list", "public.a,public.b", "slot.name", "missing", "publication.name", "missing", "topic.prefix", "missing"))
		await(t, "the table to be missed", func() bool {
			return says(node.task("missing").Trace, `no table in database "trouble" matches public.b: create it`)
		})
		pg.run("trouble", "CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'one')")
		await(t, "the table to be there", func() bool { return node.task("missing").Trace == "" })
	})
	t.Run("password changed", func(t *testing.T) {
		pg.run("postgres", "ALTER ROLE capture PASSWORD 'another'")
		pg.run("postgres", "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
		await(t, "the task to fail", func() bool {
			task := node.task("missing")
			return task.State == "FAILED" && task.Details.Cause == "configuration" && says(task.Trace, `PostgreSQL refuses user "capture"`, "Check database.user and database.password")
		})
		shown, _ := node.cli("connect", "status", "missing")
		if !says(shown, "FAILED", "configuration", "Check database.user and database.password") {
			t.Errorf("the command shows %s", shown)
		}
		pg.run("postgres", "ALTER ROLE capture PASSWORD '"+goodPassword+"'")
		if status, answer := ask("POST", "/connectors/missing/restart?includeTasks=true&onlyFailed=true", nil); status != 202 {
			t.Errorf("%d %s", status, answer)
		}
		streams(t, node, "missing")
	})
	t.Run("dropped slot", func(t *testing.T) {
		ask("PUT", "/connectors/missing/stop", nil)
		await(t, "it to stop", func() bool { return len(node.tasks("missing")) == 0 })
		await(t, "the slot to be free", func() bool {
			_, err := pg.query("trouble", "SELECT pg_drop_replication_slot('missing')")
			return err == nil
		})
		ask("PUT", "/connectors/missing/resume", nil)
		await(t, "the slot to be missed", func() bool {
			task := node.task("missing")
			return task.State == "FAILED" && task.Details.Cause == "source gone" && says(task.Trace, `replication slot "missing" does not exist any more`, "Reset the connector's offsets")
		})
		// What it says is to be done, is done with the commands that there are.
		for _, args := range [][]string{{"stop", "missing"}, {"offsets", "missing", "--reset"}, {"resume", "missing"}} {
			await(t, "weir connect "+strings.Join(args, " "), func() bool { _, err := node.cli(append([]string{"connect"}, args...)...); return err == nil })
		}
		streams(t, node, "missing")
	})
	for _, path := range []string{"/connectors?expand=info&expand=status", "/connectors/missing/config", "/connectors/missing/tasks", "/connectors/missing/status?details=true", "/connectors/missing/offsets"} {
		if status, answer := ask("GET", path, nil); status != 200 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	node.kill() // so that all that it kept is in its files
	secrets := []string{goodPassword, wrongPassword}
	for _, secret := range secrets {
		if slices.ContainsFunc(answers, func(a string) bool { return strings.Contains(a, secret) }) {
			t.Errorf("an answer has the password %s", secret)
		}
		if strings.Contains(node.out.String(), secret) {
			t.Errorf("the log has the password %s", secret)
		}
	}
	files := 0
	err := filepath.WalkDir(node.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		for _, secret := range secrets {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s has the password %s", path, secret)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files were looked through: %v", files, err)
	}
}

// TestInlinePassword: who writes a password into a configuration gets it back with that, and nowhere else.
func TestInlinePassword(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	pg.run("postgres", "CREATE DATABASE inline")
	node := startNode(t)
	config := pg.props("inline", "database.password", goodPassword)
	_, answer := node.ask("PUT", "/connector-plugins/io.debezium.connector.postgresql.PostgresConnector/config/validate", config)
	if strings.Contains(answer, goodPassword) {
		t.Error("the validation's answer has it")
	}
	node.connector("c", config)
	streams(t, node, "c")
	_, status := node.ask("GET", "/connectors/c/status?details=true", nil)
	if strings.Contains(status, goodPassword) || strings.Contains(node.out.String(), goodPassword) {
		t.Error("the status or the log has it")
	}
}
