"""One module a family of operations: what their steps are and what they do."""
