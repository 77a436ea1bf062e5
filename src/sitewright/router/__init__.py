"""The router: nginx with one static configuration, and the folder of symlinks that is its routing table."""

from sitewright.router.launch import (
    end_orphans,
    master_pid,
    nginx_argv,
    prepare_folders,
    render,
    reopen_logs,
    rotate_logs,
    test_config,
    write_config,
)
from sitewright.router.table import RouteTable

__all__ = [
    "RouteTable",
    "end_orphans",
    "master_pid",
    "nginx_argv",
    "prepare_folders",
    "render",
    "reopen_logs",
    "rotate_logs",
    "test_config",
    "write_config",
]
