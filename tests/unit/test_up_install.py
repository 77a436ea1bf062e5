"""The bootstrap takes over what pip was told on this machine."""

from __future__ import annotations

from sitewright.up.install import pip_settings, uv_environment

LISTING = """:env:.find-links='/wheels'
global.extra-index-url='https://one.example.org/simple https://two.example.org/simple'
global.find-links='/older'
global.index-url='https://mirror.example.org/simple'
install.index-url='https://own.example.org/simple'
freeze.timeout='10'
not a setting
global.broken='unclosed
"""


def test_the_environment_wins_over_a_section_and_that_over_global() -> None:
    assert pip_settings(LISTING) == {
        "find-links": "/wheels",
        "extra-index-url": "https://one.example.org/simple https://two.example.org/simple",
        "index-url": "https://own.example.org/simple",
    }


def test_uv_uses_the_same_indexes_as_pip() -> None:
    made = uv_environment(pip_settings(LISTING), {}, ca_bundle=True)
    assert made["UV_DEFAULT_INDEX"] == "https://own.example.org/simple"
    assert made["UV_INDEX"] == "https://one.example.org/simple https://two.example.org/simple"
    assert made["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert made["UV_FIND_LINKS"] == "/wheels"
    assert made["UV_SYSTEM_CERTS"] == "true"


def test_what_is_set_for_uv_already_stays() -> None:
    made = uv_environment({"index-url": "https://mirror.example.org/simple"}, {"UV_DEFAULT_INDEX": "mine"}, ca_bundle=False)
    assert "UV_DEFAULT_INDEX" not in made
    assert "UV_SYSTEM_CERTS" not in made


def test_without_settings_uv_asks_the_public_index() -> None:
    assert not {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"} & uv_environment({}, {}, ca_bundle=True).keys()
