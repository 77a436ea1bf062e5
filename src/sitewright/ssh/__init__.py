"""The SSH door: git, terminals, files and ports of sites for whoever shows a key that the manager knows. See docs/howto/ssh.md."""
