"""Durable work: operations and steps, and the engine that runs them."""
