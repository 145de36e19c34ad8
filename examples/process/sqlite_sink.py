#!/usr/bin/env python3
"""A sink for Weir: a table in SQLite has the newest value of each key. docs/connect-process.md"""
import json
import sqlite3
import sys

HELLO = {"protocol": 1, "connectors": [{
    "class": "org.example.SqliteSink", "kind": "sink", "version": "1.0.0", "doc": "A table in SQLite has the newest value of each key.",
    "options": [
        {"name": "database", "required": True, "importance": "HIGH", "doc": "The file with the database, which is made if it is missing."},
        {"name": "table", "default": "records", "importance": "HIGH", "doc": "The table, which is made if it is missing."},
    ]}]}


def say(**message):
    print(json.dumps(message), flush=True)


def start(seq, config, **_):
    global db, table
    table = config["table"]
    try:
        db = sqlite3.connect(config["database"])
        db.execute(f'CREATE TABLE IF NOT EXISTS "{table}" (key TEXT PRIMARY KEY, value TEXT)')
    except sqlite3.Error as e:
        return say(type="error", seq=seq, cause="configuration", error=f"The database {config['database']} cannot be opened: {e}")
    print(f"INFO writing to {table} in {config['database']}", file=sys.stderr)
    say(type="done", seq=seq)


def put(seq, records, **_):
    refused = []
    try:
        with db:  # a transaction: all of it is there, or nothing
            for i, r in enumerate(records):
                if r["key"] is None:
                    refused.append({"record": i, "error": "it has no key"})
                elif r["value"] is None:
                    db.execute(f'DELETE FROM "{table}" WHERE key = ?', (str(r["key"]),))
                else:
                    db.execute(f'INSERT OR REPLACE INTO "{table}" VALUES (?, ?)', (str(r["key"]), json.dumps(r["value"])))
    except sqlite3.OperationalError as e:  # locked, as a rule: the same records come again
        return say(type="error", seq=seq, cause="transient", error=str(e))
    say(type="done", seq=seq, refused=refused)


for line in iter(sys.stdin.readline, ""):  # until the worker closes it, or is no more
    request = json.loads(line)
    if request["type"] == "hello":
        say(type="hello", seq=request["seq"], **HELLO)
    elif request["type"] != "schema":  # it does not matter here of which types values are
        {"start": start, "put": put}[request.pop("type")](**request)
