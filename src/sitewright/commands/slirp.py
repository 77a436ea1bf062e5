"""Arguments of slirp4netns, an ordinary user's way out of a network namespace (`man 1 slirp4netns`)."""

from __future__ import annotations

RESOLVER = "10.0.2.3"
"""Its own name server, as seen from inside."""
READY_DESCRIPTOR = 15


def slirp(program: str, pid: int, user_namespace: str) -> tuple[str, ...]:
    """Give the network namespace of *pid* a way out, but not to this machine's loopback."""
    network = ("--netns-type=path", f"--userns-path={user_namespace}", f"/proc/{pid}/ns/net", "tap0")
    return (program, "--configure", "--mtu=1400", "--disable-host-loopback", f"--ready-fd={READY_DESCRIPTOR}", *network)
