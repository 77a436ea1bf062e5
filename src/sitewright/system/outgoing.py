"""HTTP requests to addresses that a tenant has named: to public addresses only, never redirected, bounded in time and size.

The name is looked up once, every address that it has is checked, and the connection goes to one that was checked: a name that leads
elsewhere a moment later gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Protocol
from urllib.parse import urlsplit

from sitewright.errors import InvalidValueError, UnavailableError

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 20.0
LARGEST_ANSWER = 2 * 1024 * 1024
_PIECE = 64 * 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Request(Protocol):
    """What is to be sent."""

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...

    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; at most 2 MiB of it."""

    status: int
    body: bytes
    retry_after: float = 0.0
    """Seconds that were asked to be waited."""


def networks(listed: str) -> tuple[Network, ...]:
    """`extra_egress` as networks: CIDRs between commas."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in listed.split(",") if part.strip())


def allowed(address: str, extra: Iterable[Network]) -> bool:
    """Whether *address* is public, or in one of *extra*; an IPv6 address that stands for an IPv4 one counts as that."""
    one = _meant(ipaddress.ip_address(address.partition("%")[0]))
    return _public(one) or any(one.version == network.version and one in network for network in extra)


def _public(one: Address) -> bool:
    return one.is_global and not one.is_multicast and not one.is_reserved and not one.is_unspecified


def _meant(one: Address) -> Address:
    if isinstance(one, ipaddress.IPv4Address):
        return one
    inner = one.ipv4_mapped or one.sixtofour or (ipaddress.IPv4Address(int(one) & 0xFFFFFFFF) if one in _NAT64 else None)
    return inner or one


def resolve(host: str, port: int, extra: str) -> tuple[str, ...]:
    """The addresses of *host*, all of them allowed. Raises InvalidValueError when one is not, UnavailableError for an unknown name."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise UnavailableError(f"The name “{host[:80]}” is not known.", resolution="Check the address.") from error
    within = networks(extra)
    if not found or not all(allowed(address, within) for address in found):
        raise InvalidValueError(
            f"“{host[:80]}” is an address of a private network.",
            details="The platform sends requests to public addresses only.",
            resolution="An administrator can allow it with SITEWRIGHT_EXTRA_EGRESS.",
        )
    return tuple(sorted(found, key=lambda address: ":" in address))


def send(request: Request, extra: str = "") -> Answer:
    """Send it and read the answer, whatever its status. Raises InvalidValueError for an address that is not allowed, UnavailableError."""
    import httpx  # noqa: PLC0415 - 6 MB that a process without connected repositories does not need

    parts = urlsplit(request.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidValueError("This is no web address.", resolution="Give one that begins with https://.")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = resolve(parts.hostname, port, extra)[0]
    if parts.scheme == "http" and allowed(address, ()):
        raise InvalidValueError("A token would travel unencrypted over the internet.", resolution="Use https://.")
    target = httpx.URL(request.url).copy_with(host=address)
    sent = {**dict(request.headers), "Host": parts.netloc.rpartition("@")[2], "User-Agent": "Sitewright", "Accept-Encoding": "identity"}
    limits = httpx.Timeout(CONNECT_SECONDS, read=WHOLE_SECONDS, write=WHOLE_SECONDS)
    try:
        with (
            httpx.Client(verify=_trust(), timeout=limits, trust_env=False, follow_redirects=False) as client,
            client.stream(
                request.method, target, headers=sent, content=request.body, extensions={"sni_hostname": parts.hostname}
            ) as response,
        ):
            return Answer(response.status_code, _read(response.iter_raw(_PIECE)), _wait(response.headers.get("retry-after", "")))
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise UnavailableError(f"“{parts.hostname[:80]}” does not answer as it should.", details=type(error).__name__) from error


def _read(pieces: Iterable[bytes]) -> bytes:
    """At most 2 MiB, for at most 20 seconds however slowly they come."""
    ends = time.monotonic() + WHOLE_SECONDS
    read = bytearray()
    for piece in pieces:
        read += piece
        if len(read) > LARGEST_ANSWER or time.monotonic() > ends:
            break
    return bytes(read[:LARGEST_ANSWER])


def _wait(text: str) -> float:
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()
