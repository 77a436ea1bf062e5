import os
from pathlib import Path

from flask import Flask

app = Flask(__name__)
VERSION = (Path(__file__).parent / "version").read_text().strip()


@app.get("/")
def index():
    if VERSION == "broken":
        return "broken", 500
    return VERSION + os.environ.get("WORD", "")


@app.get("/me")
def me():
    return {"version": VERSION, "instance": os.environ["SITEWRIGHT_INSTANCE"]}
