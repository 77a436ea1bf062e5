"""Engines run instances. One contract (base.py), one test suite (sitewright.testing.engine_contract), several engines."""
