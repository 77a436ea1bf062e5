"""Frozen values, states and rules that all processes share. Standard library only, no I/O."""
