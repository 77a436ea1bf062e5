"""The timeline of a site and the trail of who did what."""
