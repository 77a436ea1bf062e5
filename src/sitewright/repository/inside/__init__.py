"""Stand-alone scripts that run beside git inside the box."""
