#!/usr/bin/env python3
"""A source for Weir: the rows of a table in SQLite become records, in the order in which they were added. docs/connect-process.md"""
import base64
import json
import sqlite3
import sys
import time

HELLO = {"protocol": 1, "connectors": [{
    "class": "org.example.SqliteSource", "kind": "source", "version": "1.0.0", "doc": "New rows of a table in SQLite become records.",
    "uses": ["validate"],
    "options": [
        {"name": "database", "required": True, "importance": "HIGH", "doc": "The file with the database."},
        {"name": "table", "required": True, "importance": "HIGH", "doc": "The table. Its rows are added and not changed."},
        {"name": "topic", "required": True, "importance": "HIGH", "doc": "The topic that they go to."},
        {"name": "batch.size", "type": "INT", "default": 1000, "least": 1, "importance": "LOW", "doc": "The most rows of a batch."},
    ]}]}


def say(**message):
    print(json.dumps(message, default=lambda blob: base64.b64encode(blob).decode()), flush=True)


def connect(config):
    db = sqlite3.connect(f"file:{config['database']}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    query = f'SELECT rowid AS rowid_, * FROM "{config["table"]}" WHERE rowid > ? ORDER BY rowid LIMIT {int(config["batch.size"])}'
    return lambda after: [dict(row) for row in db.execute(query, (after,))]


def validate(seq, config, **_):
    try:
        connect(config)(0)
        say(type="done", seq=seq, errors=[])
    except sqlite3.Error as e:
        say(type="done", seq=seq, errors=[{"option": "table", "error": f"The table cannot be read: {e}"}])


def start(seq, config, **_):
    global read, topic, table, last
    topic, table = config["topic"], {"database": config["database"], "table": config["table"]}
    try:
        read = connect(config)
        read(0)
    except sqlite3.Error as e:
        return say(type="error", seq=seq, cause="configuration", error=f"The table {config['table']} cannot be read: {e}. Is it there?")
    say(type="position", partition=table)
    kept = json.loads(sys.stdin.readline())["offset"]
    last = kept["rowid"] if kept else 0
    say(type="done", seq=seq)


def poll(seq, **_):
    global last
    until = time.monotonic() + 1  # then an empty answer is better than none
    try:
        while not (rows := read(last)) and time.monotonic() < until:
            time.sleep(0.05)
    except sqlite3.OperationalError as e:  # locked, as a rule: asked again, it may be there
        return say(type="error", seq=seq, cause="transient", error=str(e))
    records = [{"key": row.pop("rowid_"), "value": row} for row in rows]
    last = records[-1]["key"] if records else last
    say(type="records", seq=seq, topic=topic, records=records, positions=[{"partition": table, "offset": {"rowid": last}}] if records else [])


for line in iter(sys.stdin.readline, ""):  # until the worker closes it, or is no more
    request = json.loads(line)
    if request["type"] == "hello":
        say(type="hello", seq=request["seq"], **HELLO)
    else:
        {"validate": validate, "start": start, "poll": poll}[request.pop("type")](**request)
