"""Sitewright: hosts websites for people who share machines."""

__version__ = "0.1.0"
