"""Page rules of a site: compiled here, answered by nginx with what is in pages.js."""
