"""Routes: host name to channel."""
