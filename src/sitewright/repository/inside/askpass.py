#!/usr/bin/python3 -IS
"""Answers git's question for a user name or password, but only for the server that they are meant for."""

from __future__ import annotations

import json
import sys

SECRET = "/tmp/credential"


def main() -> None:
    question = sys.argv[1] if len(sys.argv) > 1 else ""
    with open(SECRET, encoding="utf-8") as file:
        told = json.load(file)
    # «Username for 'https://host': », «Password for 'https://user@host': »
    server = question.partition("'")[2].rpartition("'")[0]
    scheme, _, rest = server.partition("://")
    if f"{scheme}://{rest.rpartition('@')[2]}" == told["server"]:
        print(told["user"] or "git" if question.startswith("Username") else told["password"])


if __name__ == "__main__":
    main()
