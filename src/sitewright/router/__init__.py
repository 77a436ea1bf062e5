"""The router: nginx with one static configuration, and the folder of symlinks that is its routing table."""

from sitewright.router.launch import (
    listen_addresses,
    nginx_argv,
    prepare_folders,
    render,
    test_config,
    write_config,
)
from sitewright.router.table import RouteTable

__all__ = [
    "RouteTable",
    "listen_addresses",
    "nginx_argv",
    "prepare_folders",
    "render",
    "test_config",
    "write_config",
]
