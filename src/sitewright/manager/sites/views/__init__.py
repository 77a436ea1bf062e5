"""Pages about sites, one file a page."""
