"""Repositories elsewhere that a site is connected to: what they tell, what is fetched, what is reported back, pull requests."""
