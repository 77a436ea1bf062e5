import os
from pathlib import Path

from flask import Flask

app = Flask(__name__)
data = Path(os.environ["SITEWRIGHT_DATA"])


@app.get("/")
def index():
    return {name: (data / name).read_text() if (data / name).exists() else "" for name in ("release", "worker")}


@app.get("/secret")
def secret():
    return os.environ.get("SECRET_WORD", "")
