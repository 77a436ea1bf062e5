"""Sites that are container images: built from a Dockerfile, or fetched from a registry."""
