"""The command line: one module per noun. It parses, calls the API and prints; everything it does, the API can do."""
