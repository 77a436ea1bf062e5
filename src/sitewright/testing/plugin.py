"""The pytest plugin that ships with the distribution."""
