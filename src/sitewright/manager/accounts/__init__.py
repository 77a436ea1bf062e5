"""People: sign-in, API tokens, one-time links."""
