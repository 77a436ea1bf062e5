"""One strict settings model per process, read from the environment and checked at start."""
