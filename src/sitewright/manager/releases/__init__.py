"""Uploads, builds and the releases they make."""
