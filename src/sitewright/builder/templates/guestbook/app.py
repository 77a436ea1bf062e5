"""A guestbook: visitors write a line, everybody reads it. The entries are in SQLite, in the folder that outlives every deploy."""

import os
import sqlite3
from pathlib import Path

from flask import Flask, abort, g, redirect, render_template, request, url_for

DATABASE = Path(os.environ.get("SITEWRIGHT_DATA", ".")) / "guestbook.db"
SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    written_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M', 'now'))
)
"""

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024


def database() -> sqlite3.Connection:
    if "database" not in g:
        g.database = sqlite3.connect(DATABASE, timeout=10)
        g.database.row_factory = sqlite3.Row
        g.database.execute("PRAGMA journal_mode=WAL")
        g.database.execute(SCHEMA)
    return g.database


@app.teardown_appcontext
def close_database(_error: BaseException | None) -> None:
    connection = g.pop("database", None)
    if connection is not None:
        connection.close()


@app.after_request
def protect(response):
    response.headers["Content-Security-Policy"] = "default-src 'self'; form-action 'self'; frame-ancestors 'none'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@app.get("/")
def show():
    entries = database().execute("SELECT name, text, written_at FROM entry ORDER BY id DESC LIMIT 100").fetchall()
    return render_template("guestbook.html", entries=entries)


@app.post("/")
def write():
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403)
    name, text = (request.form.get(field, "").strip() for field in ("name", "text"))
    if not text or len(text) > 1000 or len(name) > 60:
        abort(400, "Write between 1 and 1,000 characters, and a name of at most 60.")
    with database() as connection:
        connection.execute("INSERT INTO entry (name, text) VALUES (?, ?)", (name or "Somebody", text))
    return redirect(url_for("show"), code=303)
