"""How much one address and one person may ask of the door."""

from __future__ import annotations

from sitewright.ssh.limits import FAILURE_SECONDS, FAILURES, MOST_CONNECTIONS, MOST_FROM_ADDRESS, MOST_OF_PERSON, Limits


def test_an_address_has_so_many_connections_and_gets_them_back() -> None:
    limits = Limits()
    for _ in range(MOST_FROM_ADDRESS):
        assert limits.may_connect("192.0.2.1", 0.0)
        limits.connected("192.0.2.1")
    assert not limits.may_connect("192.0.2.1", 0.0)
    assert limits.may_connect("192.0.2.2", 0.0)
    limits.disconnected("192.0.2.1", "")
    assert limits.may_connect("192.0.2.1", 0.0)


def test_all_together_have_so_many() -> None:
    limits = Limits()
    for number in range(MOST_CONNECTIONS):
        limits.connected(f"192.0.2.{number}")
    assert not limits.may_connect("198.51.100.1", 0.0)


def test_a_person_has_so_many_from_everywhere() -> None:
    limits = Limits()
    assert all(limits.sign_in("alice") for _ in range(MOST_OF_PERSON))
    assert not limits.sign_in("alice")
    assert limits.sign_in("bob")
    limits.connected("192.0.2.1")
    limits.disconnected("192.0.2.1", "alice")
    assert limits.sign_in("alice")


def test_who_tries_key_after_key_has_to_wait() -> None:
    limits = Limits()
    for number in range(FAILURES):
        assert limits.may_connect("192.0.2.1", number / FAILURES)
        limits.failed("192.0.2.1", number / FAILURES)
    assert not limits.may_connect("192.0.2.1", 1.0)
    assert limits.may_connect("192.0.2.2", 1.0)
    assert limits.may_connect("192.0.2.1", FAILURE_SECONDS + 2.0)
    assert limits.failures == {}
