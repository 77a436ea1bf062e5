"""The embedded engine: bubblewrap sandboxes with control groups, private networks and a system call filter."""

from sitewright.engines.sandbox.engine import SandboxEngine

__all__ = ["SandboxEngine"]
