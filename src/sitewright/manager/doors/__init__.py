"""Ways in that are no pages: what the SSH door asks, and git over HTTPS. Both ask ``opening`` who may do what."""
