"""Instances as containers of one Docker Engine on this machine."""

from sitewright.engines.docker.engine import DockerEngine

__all__ = ["DockerEngine"]
