"""A neighbour who makes noise: a Flask app that starts, when asked, a process of its own which ends by itself."""

from __future__ import annotations

from pathlib import Path

APP = """
import subprocess
import sys

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return "loud"


@app.post("/noise/<kind>/<seconds>")
def noise(kind, seconds):
    subprocess.Popen([sys.executable, "noise.py", kind, seconds])
    return "begun"
"""
NOISE = """
import os
import sys
import time

kind, end = sys.argv[1], time.monotonic() + float(sys.argv[2])


def going():
    return time.monotonic() < end


def copies(count, work):
    children = []
    for _ in range(count):
        try:
            pid = os.fork()
        except OSError:
            break
        if not pid:
            work()
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)


def cpu():
    while going():
        sum(range(10_000))


def forks():
    while going():
        copies(4, lambda: None)


def memory():
    while going():
        block = bytearray(100 * 1024 * 1024)
        block[::4096] = b"x" * len(block[::4096])


def log():
    while going():
        os.write(1, b"a line that nobody reads, of the length that lines of logs have\\n" * 512)


def disk():
    path = os.environ["SITEWRIGHT_DATA"] + "/noise"
    while going():
        with open(path, "wb") as file:
            for _ in range(32):
                file.write(os.urandom(1024) * 1024)
            file.flush()
            os.fsync(file.fileno())
    os.unlink(path)


work = {"cpu": lambda: copies(64, cpu), "forks": lambda: copies(8, forks), "memory": memory, "log": log, "disk": disk}
work[kind]()
"""


def loud_app(folder: Path) -> Path:
    """The neighbour's files; returns their folder."""
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(APP)
    (folder / "noise.py").write_text(NOISE)
    (folder / "requirements.txt").write_text("flask\ngunicorn\n")
    return folder
