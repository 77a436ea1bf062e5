"""nginx's configuration as text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sitewright.commands.nginx import check_argv, run_argv, version_argv
from sitewright.router.binary import parse_version
from sitewright.router.lanes import SITE_CONNECTIONS, kept_lanes, plain_lanes
from sitewright.router.pages import PAGES, fill, html, problem
from sitewright.router.render import RouterConfig, parent_domains, render_config

CONFIG = RouterConfig(
    run=Path("/run/sw-00000000"),
    home=Path("/var/lib/sitewright"),
    address="127.0.0.1",
    port=8000,
    domain="sites.example.org",
    manager_host="sitewright.sites.example.org",
    manager_files=Path("/opt/sitewright/manager"),
    user="sitewright-router",
)


def blocks(text: str, kind: str) -> list[str]:
    """Bodies of all `kind … {` blocks, as far as the closing brace on the same indentation."""
    return [body for _, body in re.findall(rf"^( *){kind}[^\n]*\{{\n(.*?)^\1\}}", text, re.MULTILINE | re.DOTALL)]


def test_nothing_is_left_to_fill_in_and_braces_match():
    text = render_config(CONFIG)
    assert "%{" not in text
    assert text.count("{") == text.count("}")


def test_wherever_a_tenants_files_are_opened_foreign_symlinks_are_refused():
    locations = blocks(render_config(CONFIG), "location")
    with_files = [body for body in locations if re.search(r"/\$host/(?:public|shown|files);", body)]
    assert len(with_files) >= 8
    careful = re.compile(
        r"/\$host/public;\s+disable_symlinks on from=\$document_root;|disable_symlinks if_not_owner from=/run/[^/]+/r/\$host;"
    )
    assert all(careful.search(body) for body in with_files)


def test_no_location_lets_an_app_steer_nginx_or_hides_its_errors():
    text = render_config(CONFIG)
    assert "intercept_errors on" not in text
    assert len(re.findall(r"(?:proxy|fastcgi)_ignore_headers .*X-Accel-Redirect", text)) == 2
    apps = [body for body in blocks(text, "location") if "proxy_pass" in body and "proxy_pass http://sitewright_wake/;" not in body]
    assert len(apps) >= 15
    assert not any(re.search(r"proxy_(ignore_headers|set_header|cookie_domain|hide_header)", body) for body in apps)


def test_every_way_to_an_app_is_counted_and_the_last_try_of_it_is_told_apart():
    lanes = [*plain_lanes(), *kept_lanes(("auth_request /../wake;",))]
    assert len({lane.name for lane in lanes}) == len(lanes)
    for lane in lanes:
        assert f"limit_conn sites {SITE_CONNECTIONS};" in lane.rules
        assert sum(rule.startswith("error_page 502 ") for rule in lane.rules) == 1
        assert ("auth_request /../wake;" in lane.rules) == lane.name.startswith("wake_")
        assert ("proxy_request_buffering off;" in lane.rules) == ("stream" in lane.name)
        assert lane.slot.startswith("a") == lane.name.endswith("_again")


def test_only_the_wake_socket_is_told_of_hosts_and_it_is_told_nothing_else():
    questions = [body for body in blocks(render_config(CONFIG), "location") if "proxy_pass http://sitewright_wake/;" in body]
    assert len(questions) == 3
    for body in questions:
        assert "internal;" in body
        assert "proxy_pass_request_headers off;" in body
        assert "proxy_pass_request_body off;" in body


def test_the_manager_is_a_server_of_its_own_and_unknown_hosts_have_the_default_one():
    text = render_config(CONFIG)
    assert "server_name sitewright.sites.example.org;" in text
    assert text.count("default_server") == 1


def test_the_address_may_be_ipv6():
    assert "listen [::1]:8000;" in render_config(replace(CONFIG, address="::1"))


def test_an_ordinary_user_names_no_user():
    assert not re.search(r"^user ", render_config(replace(CONFIG, user="")), re.MULTILINE)
    assert "user sitewright-router;" in render_config(CONFIG)


def test_cookies_for_every_domain_above_the_sites_are_rewritten():
    assert parent_domains("sites.example.org") == ["sites.example.org", "example.org", "org"]
    assert r'"~^\.?(?:sites\.example\.org|example\.org|org)$" $host;' in render_config(CONFIG)


def test_pages_are_complete_and_say_what_to_do():
    for page in PAGES:
        text = html(page, "%{refresh}|%{title}|%{accent}|%{status}|%{heading}|%{text}|%{hint}")
        assert page.hint
        assert (f'content="{page.refresh}"' in text) == bool(page.refresh)
        assert json.loads(problem(page).replace('<!--# echo var="told_id" -->', "id"))["request_id"] == "id"


def test_a_value_that_was_forgotten_is_an_error():
    with pytest.raises(KeyError):
        fill("%{missing}", {})


def test_command_lines():
    binary, config, prefix = Path("/usr/sbin/nginx"), Path("/r/nginx.conf"), Path("/r")
    assert run_argv(binary, config, prefix) == ["/usr/sbin/nginx", "-p", "/r", "-e", "stderr", "-c", "/r/nginx.conf"]
    assert check_argv(binary, config, prefix) == [*run_argv(binary, config, prefix), "-t", "-q"]
    assert version_argv(binary) == ["/usr/sbin/nginx", "-v"]


@pytest.mark.parametrize(
    ("text", "version"), [("nginx version: nginx/1.22.1\n", (1, 22, 1)), ("nginx/1.31.3 (x)", (1, 31, 3)), ("openresty", ())]
)
def test_a_version_is_read_from_what_nginx_prints(text, version):
    assert parse_version(text) == version


def test_only_behind_a_tls_proxy_is_a_proxy_believed_and_the_scheme_https():
    alone, behind = render_config(CONFIG), render_config(replace(CONFIG, behind_tls=True))
    assert "real_ip_header X-Forwarded-For" not in alone
    assert "X-Forwarded-Proto $scheme;" in alone
    assert "set_real_ip_from 127.0.0.1;" in behind
    assert "X-Forwarded-Proto https;" in behind
