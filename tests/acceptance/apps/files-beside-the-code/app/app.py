"""As tutorials write it: the database and the visitors' files are beside the program."""

import os
import sqlite3

from flask import Flask, request

app = Flask(__name__)
app.config["UPLOAD_FOLDER"] = "static/uploads"


def database():
    connection = sqlite3.connect("guests.db")
    connection.execute("create table if not exists guests (name text)")
    return connection


@app.get("/")
def index():
    return ",".join(name for (name,) in database().execute("select name from guests"))


@app.post("/")
def add():
    with database() as connection:
        connection.execute("insert into guests values (?)", [request.form["name"]])
    photo = request.files["photo"]
    photo.save(os.path.join(app.config["UPLOAD_FOLDER"], photo.filename))
    with open("visits.log", "a") as log:
        log.write("x")
    return "thanks", 201
