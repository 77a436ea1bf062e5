"""The SSH door: git, a shell, files and ports of a site, and nothing else. A process of its own; it knows the bus and no database."""
