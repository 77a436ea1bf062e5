"""Names as types: what is refused, and that what is accepted is always safe to use."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewright.domain.identity import is_id, new_id
from sitewright.domain.names import (
    RESERVED_SITE_NAMES,
    ChannelName,
    EnvName,
    HostName,
    ProcessType,
    SiteName,
    TeamName,
    default_host,
    suggested_site_name,
)
from sitewright.errors import InvalidValueError

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@given(st.text(max_size=70))
def test_an_accepted_site_name_is_a_dns_label_and_never_reserved(text):
    try:
        name = SiteName(text)
    except InvalidValueError:
        return
    assert LABEL.fullmatch(name)
    assert len(name) <= 40
    assert "--" not in name
    assert name not in RESERVED_SITE_NAMES


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True))
def test_a_plain_label_is_refused_only_for_a_stated_reason(text):
    try:
        name = SiteName(text)
    except InvalidValueError as error:
        why = error.message + error.details
        name = text if "Two hyphens" in why or "reserved" in why else None
    assert name == text


@pytest.mark.parametrize("name", sorted(RESERVED_SITE_NAMES))
def test_reserved_names_are_refused(name):
    with pytest.raises(InvalidValueError):
        SiteName(name)


@pytest.mark.parametrize("name", ["adm1n", "s1gnin", "10gin", "l0gin", "adrnin", "m4il", "sitevvright", "sup-port", "rnanager"])
def test_look_alikes_of_reserved_names_are_refused(name):
    with pytest.raises(InvalidValueError, match="looks too much like"):
        SiteName(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a.b", "ü", "a b", "a\n", "a" * 41, "a--b", "xn--bcher-kva", "x" * 300, "../x"]
)
def test_what_is_no_name_is_refused_with_what_to_do(name):
    with pytest.raises(InvalidValueError) as caught:
        SiteName(name)
    assert caught.value.resolution


def test_a_very_long_name_is_not_repeated_in_full():
    with pytest.raises(InvalidValueError) as caught:
        SiteName("x" * 300)
    assert len(caught.value.message) < 200
    assert "300 characters" in caught.value.message


@pytest.mark.parametrize("kind", [ChannelName, ProcessType, TeamName])
def test_other_names_are_labels_too(kind):
    assert kind("preview-12") == "preview-12"
    with pytest.raises(InvalidValueError):
        kind("Preview 12")


@given(st.text(max_size=100))
def test_an_accepted_host_is_safe_as_a_file_name(text):
    try:
        host = HostName(text)
    except InvalidValueError:
        return
    assert "/" not in host
    assert host not in {"", ".", ".."}
    assert len(host) <= 80


@given(st.text(max_size=140))
def test_an_accepted_variable_name_is_one_a_shell_takes(text):
    try:
        name = EnvName(text)
    except InvalidValueError:
        return
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name)
    assert not name.startswith("SITEWRIGHT_")
    assert name not in EnvName.taken


@given(st.text(max_size=100))
def test_a_suggested_name_is_legal_or_empty(text):
    name = suggested_site_name(text)
    assert name == "" or SiteName(name) == name


def test_the_default_address_follows_site_and_channel():
    assert default_host(SiteName("guestbook"), ChannelName("production"), "example.org") == "guestbook.example.org"
    assert default_host(SiteName("guestbook"), ChannelName("preview-12"), "localhost") == "preview-12--guestbook.localhost"


def test_ids_have_their_form_and_do_not_repeat():
    ids = {new_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(is_id(one) for one in ids)


@pytest.mark.parametrize("text", ["", "..", "abc", "A" * 12, "a" * 13, "a" * 11 + "/", "a" * 11 + "\n", "aaaaaaaaaaa1"])
def test_what_is_no_id_is_known_as_such(text):
    assert not is_id(text)
