"""How much one address and one person may ask of the door. Time is an argument."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

MOST_CONNECTIONS = 600
MOST_FROM_ADDRESS = 150
"""A school is one address."""
MOST_OF_PERSON = 40
MOST_CHANNELS = 32
"""Of one connection: a shell, and a browser's connections through a forwarded port."""
SIGN_IN_SECONDS = 20.0
MOST_TRIES = 8
"""Keys offered on one connection, before it is ended."""
FAILURES = 150
FAILURE_SECONDS = 60.0
"""From one address: so many unknown keys within that time, and it has to wait."""
MOST_ADDRESSES = 10_000
IDLE_SECONDS = 2 * 3600.0
"""Without a byte in either direction a session ends; one that has none open ends much sooner."""
UNUSED_SECONDS = 300.0


@dataclass(slots=True)
class Limits:
    """Who is connected, and who failed lately."""

    addresses: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    failures: dict[str, deque[float]] = field(default_factory=dict)

    def may_connect(self, address: str, now: float) -> bool:
        """Whether one more connection from *address* is let in."""
        if self.addresses.total() >= MOST_CONNECTIONS or self.addresses[address] >= MOST_FROM_ADDRESS:
            return False
        return len(self._recent(address, now)) < FAILURES

    def connected(self, address: str) -> None:
        """One more from there."""
        self.addresses[address] += 1

    def disconnected(self, address: str, user_id: str) -> None:
        """One less; *user_id* "" had not signed in."""
        _less(self.addresses, address)
        if user_id:
            _less(self.people, user_id)

    def sign_in(self, user_id: str) -> bool:
        """Count the person's connection, if there is room for it."""
        if self.people[user_id] >= MOST_OF_PERSON:
            return False
        self.people[user_id] += 1
        return True

    def failed(self, address: str, now: float) -> None:
        """An unknown key was shown from there."""
        if address not in self.failures and len(self.failures) >= MOST_ADDRESSES:
            self.failures.pop(next(iter(self.failures)))
        self.failures.setdefault(address, deque(maxlen=FAILURES)).append(now)

    def _recent(self, address: str, now: float) -> deque[float]:
        times = self.failures.get(address, deque())
        while times and now - times[0] > FAILURE_SECONDS:
            times.popleft()
        if not times:
            self.failures.pop(address, None)
        return times


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
