package sql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/weir/weir/connect/sdk"
)

// target is what a JDBC URL, and the options about users, name.
type target struct {
	postgres       bool
	hosts          []string // host:port
	database       string
	user, password string
	params         map[string]string // of the URL, by their names in lower case
}

// where names the server in what people are told.
func (t *target) where() string {
	kind := "MySQL"
	if t.postgres {
		kind = "PostgreSQL"
	}
	return kind + " at " + strings.Join(t.hosts, ",")
}

// targetOf reads the options about the connection.
func targetOf(v sdk.Values) (*target, error) {
	t, err := parseURL(v.String("connection.url"))
	if err != nil {
		return nil, err
	}
	t.user = cmp.Or(v.String("connection.user"), t.user)
	t.password = cmp.Or(v.String("connection.password"), t.password)
	switch name := v.String("dialect.name"); {
	case name == "":
	case strings.HasPrefix(name, "PostgreSql") != t.postgres:
		return nil, fmt.Errorf("dialect.name is %s, which does not fit connection.url: leave it out", name)
	}
	return t, nil
}

// parseURL reads a JDBC URL. Errors do not show it, since it may have a password in it.
func parseURL(text string) (*target, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "jdbc:")
	if !ok {
		return nil, errors.New("connection.url has to begin with jdbc:postgresql://, jdbc:mysql:// or jdbc:mariadb://")
	}
	kind, rest, _ := strings.Cut(rest, ":")
	t := &target{params: map[string]string{}}
	port := "3306"
	switch strings.ToLower(kind) {
	case "postgresql":
		t.postgres, port = true, "5432"
	case "mysql", "mariadb":
	default:
		return nil, fmt.Errorf("connection.url is for %s: only postgresql, mysql and mariadb are supported", kind)
	}
	rest, query, _ := strings.Cut(rest, "?")
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("the parameter %s of connection.url is not encoded as in a URL", name)
		}
		t.params[strings.ToLower(name)] = value
	}
	hosts := ""
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		hosts, t.database, _ = strings.Cut(after, "/")
	} else {
		t.database = strings.TrimPrefix(rest, "/")
	}
	var err error
	if t.database, err = url.PathUnescape(t.database); err != nil {
		return nil, errors.New("the database of connection.url is not encoded as in a URL")
	}
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		login, err := url.PathUnescape(hosts[:at])
		if err != nil {
			return nil, errors.New("the user of connection.url is not encoded as in a URL")
		}
		t.user, t.password, _ = strings.Cut(login, ":")
		hosts = hosts[at+1:]
	}
	t.user, t.password = cmp.Or(t.params["user"], t.user), cmp.Or(t.params["password"], t.password)
	for _, host := range strings.Split(hosts, ",") {
		name, number, err := net.SplitHostPort(host)
		if err != nil {
			name, number = strings.Trim(host, "[]"), port
		}
		if _, err := strconv.ParseUint(number, 10, 16); err != nil {
			return nil, fmt.Errorf("connection.url has the port %q, which is no number", number)
		}
		t.hosts = append(t.hosts, net.JoinHostPort(cmp.Or(name, "localhost"), number))
	}
	return t, nil
}

// connectIn is how long a connection may take to come about.
const connectIn = 10 * time.Second

// postgresConfig is how to connect to PostgreSQL.
func (t *target) postgresConfig() (*pgconn.Config, error) {
	mode := t.params["sslmode"]
	if mode == "" {
		mode = "prefer"
		if ssl, set := t.params["ssl"]; set && ssl != "false" {
			mode = "verify-full"
		}
		if strings.HasSuffix(t.params["sslfactory"], "NonValidatingFactory") {
			mode = "require"
		}
	}
	var names, ports []string
	for _, h := range t.hosts {
		name, port, _ := net.SplitHostPort(h)
		names, ports = append(names, name), append(ports, port)
	}
	text := fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=%s", quoteParam(strings.Join(names, ",")), quoteParam(strings.Join(ports, ",")),
		quoteParam(t.user), quoteParam(cmp.Or(t.database, t.user)), quoteParam(mode))
	for _, name := range []string{"sslcert", "sslkey", "sslrootcert", "sslpassword"} {
		if value := t.params[name]; value != "" {
			text += " " + name + "=" + quoteParam(value)
		}
	}
	switch t.params["targetservertype"] {
	case "master", "primary":
		text += " target_session_attrs=read-write"
	}
	c, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, errors.New("connection.url has TLS settings that cannot be used: check sslmode, sslcert, sslkey and sslrootcert")
	}
	c.Password = t.password
	c.ConnectTimeout = connectIn
	c.RuntimeParams = map[string]string{"application_name": cmp.Or(t.params["applicationname"], "Weir"), "client_encoding": "UTF8", "DateStyle": "ISO",
		"TimeZone": "UTC", "bytea_output": "hex", "extra_float_digits": "1", "lc_monetary": "C"}
	if schema := t.params["currentschema"]; schema != "" {
		c.RuntimeParams["search_path"] = schema
	}
	if options := t.params["options"]; options != "" {
		c.RuntimeParams["options"] = options
	}
	return c, nil
}

func quoteParam(s string) string {
	return `'` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `'`, `\'`) + `'`
}

// mysqlConfig is how to connect to MySQL.
func (t *target) mysqlConfig() *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = t.user, t.password, t.database
	c.Net, c.Addr = "tcp", t.hosts[0]
	c.Timeout = connectIn
	c.MaxAllowedPacket = 0 // what the server takes
	c.ClientFoundRows = true
	c.Logger = quiet{}
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	switch strings.ToLower(cmp.Or(t.params["sslmode"], "preferred")) {
	case "disabled", "disable":
		c.TLSConfig = "false"
	case "required", "trust":
		c.TLSConfig = "skip-verify"
	case "verify_ca", "verify_identity", "verify-ca", "verify-full":
		c.TLSConfig = "true"
	default:
		c.TLSConfig = "preferred"
		switch {
		case t.params["usessl"] == "false":
			c.TLSConfig = "false"
		case t.params["usessl"] == "true" && t.params["verifyservercertificate"] == "true":
			c.TLSConfig = "true"
		case t.params["requiressl"] == "true":
			c.TLSConfig = "skip-verify"
		}
	}
	if len(t.hosts) > 1 {
		c.DialFunc = t.dialFirst
	}
	return c
}

// dialFirst connects to the first of several hosts that answers.
func (t *target) dialFirst(ctx context.Context, network, _ string) (net.Conn, error) {
	var all []error
	for _, host := range t.hosts {
		c, err := (&net.Dialer{Timeout: connectIn}).DialContext(ctx, network, host)
		if err == nil {
			return c, nil
		}
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

// quiet is a log for what the driver also gives as errors.
type quiet struct{}

func (quiet) Print(...any) {}
