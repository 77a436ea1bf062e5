"""Addresses that are told to vendors, and where vendors are told something."""

from __future__ import annotations

from django.conf import settings

from sitewright.manager.keys import decrypt
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories.models import Connection
from sitewright.manager.repositories.vendors.values import There
from sitewright.manager.sites.models import Channel


def there(connection: Connection) -> There | None:
    """Where its vendor can be told something; None when it has no interface or we have no token."""
    if not connection.sealed_token or not connection.api_url or not connection.project:
        return None
    return There(connection.api_url, connection.project, decrypt(settings.ENCRYPTION_KEYS, connection.sealed_token))


def platform_address(path: str) -> str:
    """An address of the manager's."""
    return f"{settings.PLATFORM.url(settings.PLATFORM.manager_host)}{path}"


def hook_address(connection: Connection) -> str:
    """Where its web hook is to send to."""
    return platform_address(f"/hooks/{connection.hook_id}")


def operation_address(operation: Operation) -> str:
    """Where people watch it."""
    return platform_address(f"/operations/{operation.id}/")


def channel_address(channel: Channel | None) -> str:
    """Where visitors find a channel; "" when it has no route."""
    host = channel.routes.values_list("host", flat=True).first() if channel is not None else None
    return settings.PLATFORM.url(host) if host else ""
