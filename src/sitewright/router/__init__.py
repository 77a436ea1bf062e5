"""The router: nginx with one static configuration, and the folder of symlinks that is its routing table."""

from sitewright.router.launch import (
    nginx_argv,
    prepare_folders,
    render,
    test_config,
    write_config,
)
from sitewright.router.table import RouteTable

__all__ = [
    "RouteTable",
    "nginx_argv",
    "prepare_folders",
    "render",
    "test_config",
    "write_config",
]
