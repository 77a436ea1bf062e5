"""Serves the notebook: every visitor gets a copy of their own that runs while the page is open, and cannot change the file."""

import marimo

app = marimo.create_asgi_app(include_code=True).with_app(path="", root="notebook.py").build()
