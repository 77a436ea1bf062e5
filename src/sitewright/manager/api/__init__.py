"""The HTTP API: wiring, sign-in, errors, pages of lists, streams. What it does is in the apps' own api.py."""
