"""/sites, one module a noun."""
