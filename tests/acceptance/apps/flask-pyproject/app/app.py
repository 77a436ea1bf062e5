"""Counts visits in a file that outlives a restart."""

import os
from pathlib import Path

from flask import Flask, request

app = Flask(__name__)
counter = Path(os.environ["SITEWRIGHT_DATA"]) / "visits"


@app.get("/")
def index():
    return f"Tide tables for {os.environ.get('HARBOUR', 'nowhere')}"


@app.post("/visits")
def visit():
    count = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(count))
    return {"visits": count}


@app.post("/echo")
def echo():
    return {"bytes": len(request.get_data()), "host": request.host, "scheme": request.scheme}
