"""Runs inside a build's sandbox, as the site's user: write a text file below the current folder. Arguments: path, text."""

import os
import sys

path, text = sys.argv[1:3]
os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
with open(path, "w", encoding="utf-8") as file:
    file.write(text)
