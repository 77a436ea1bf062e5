"""One folder a language: what it looks for, and how it is built. Pure: trees in, plans out."""
