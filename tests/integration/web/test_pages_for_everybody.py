"""Every page as each of the cast: who sees it, who may not, for whom it does not exist, who is sent to sign in."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Build
from sitewright.manager.repositories.models import Connection, Delivery, PullRequest
from sitewright.manager.repositories.receiving import seal
from sitewright.manager.sites.models import Channel, Site
from sitewright.testing.cast import Cast

SITE_PAGES = {
    # page: what a viewer gets; owner and developer get 200
    "/sites/guestbook/": 200,
    "/sites/guestbook/timeline/": 200,
    "/sites/guestbook/head/logs/": 200,
    "/sites/guestbook/releases/": 200,
    "/sites/guestbook/releases/1/": 200,
    "/sites/guestbook/channels/": 200,
    "/sites/guestbook/code/": 200,
    "/sites/poster/code/": 200,
    "/sites/guestbook/connection/": 200,
    "/sites/guestbook/previews/": 200,
    "/sites/guestbook/previews/?closed=1": 200,
    "/sites/guestbook/builds/": 200,
    "/sites/guestbook/builds/{build}/": 200,
    "/sites/guestbook/builds/{build}/?text=hello": 200,
    "/sites/guestbook/builds/{build}/parts/": 200,
    "/sites/guestbook/builds/{build}/log/download/": 200,
    "/sites/guestbook/builds/{build}/log/stream/?cursor=1": 200,
    "/sites/guestbook/logs/": 200,
    "/sites/guestbook/logs/download/": 200,
    "/sites/guestbook/logs/stream/?cursor=1": 200,
    "/sites/guestbook/deploy/": 403,
    "/sites/guestbook/settings/": 403,
    "/sites/poster/files/": 200,
    "/sites/poster/files/?file=index.html": 403,
}
OWN_PAGES = ("/sites/", "/new/", "/accounts/", "/api/")
ACTIONS = {
    # address: role that is needed
    "/sites/guestbook/deploy/": "developer",
    "/sites/guestbook/settings/set/": "developer",
    "/sites/guestbook/settings/unset/": "developer",
    "/sites/guestbook/settings/rename/": "owner",
    "/sites/guestbook/settings/delete/": "owner",
    "/sites/guestbook/settings/sleep/": "developer",
    "/sites/guestbook/settings/visitors/": "developer",
    "/sites/guestbook/settings/limits/": "developer",
    "/sites/guestbook/settings/plan/": "owner",
    "/sites/guestbook/scale/": "developer",
    "/sites/guestbook/rollback/": "developer",
    "/sites/guestbook/promote/": "developer",
    "/sites/guestbook/freeze/": "developer",
    "/sites/guestbook/unfreeze/": "developer",
    "/sites/guestbook/protect/": "owner",
    "/sites/guestbook/channels/new/": "developer",
    "/sites/guestbook/channels/change/": "developer",
    "/sites/guestbook/channels/remove/?channel=production": "developer",
    "/sites/poster/code/publish/": "developer",
    "/sites/poster/code/check/": "developer",
    "/sites/poster/code/stash/": "developer",
    "/sites/poster/code/discard/": "developer",
    "/sites/guestbook/builds/caches/clear/": "developer",
    "/sites/guestbook/builds/{build}/cancel/": "developer",
    "/sites/guestbook/connection/set/": "developer",
    "/sites/guestbook/connection/fetch/": "developer",
    "/sites/guestbook/connection/disconnect/": "developer",
    "/sites/guestbook/connection/deliveries/{delivery}/again/": "developer",
    "/sites/guestbook/previews/set/": "developer",
    "/sites/guestbook/previews/{preview}/allow/": "developer",
    "/sites/guestbook/previews/{preview}/close/": "developer",
    "/sites/guestbook/trial/promote/": "developer",
    "/sites/guestbook/wake/": "developer",
    "/sites/guestbook/power/stop/": "developer",
    "/sites/poster/files/save/": "developer",
    "/sites/poster/files/delete/": "developer",
}


@pytest.fixture(autouse=True)
def ids(guestbook: Site, poster: Site) -> dict[str, str]:
    """Both sites stand, one connected with a repository; the ids that stand in braces in paths."""
    connection = Connection.objects.create(
        site=guestbook, url="https://git.example.org/alice/notes.git", hook_id="h" * 32, sealed_hook_secret="sealed"
    )
    delivery = Delivery.objects.create(connection=connection, delivery="d", event="push", sealed_body=seal(b"{}"), outcome="acted")
    pull = PullRequest.objects.create(site=guestbook, number=7, branch="menu", head="1a" * 20, fork=True)
    build = Build.objects.filter(channel__site=guestbook).latest("created_at")
    return {"build": build.id, "delivery": delivery.id, "preview": pull.id}


def person(cast: Cast, name: str) -> object:
    """A member of the cast, or None for a stranger."""
    return getattr(cast, name, None)


@pytest.mark.parametrize("path", SITE_PAGES)
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_owner_and_developer_see_every_page_of_a_site(cast: Cast, browse, ids, name: str, path: str):
    assert browse(person(cast, name)).get(path.format(**ids)).status_code == 200


@pytest.mark.parametrize("path", SITE_PAGES)
def test_a_viewer_looks_but_does_not_see_settings_or_file_contents(cast: Cast, browse, ids, path: str):
    assert browse(cast.vera).get(path.format(**ids)).status_code == SITE_PAGES[path]


@pytest.mark.parametrize("path", [path for path, status in SITE_PAGES.items() if status == 200 and "/log" not in path])
def test_a_viewer_is_offered_nothing_that_would_be_refused(cast: Cast, browse, ids, path: str):
    assert set(_offered(browse(cast.vera).get(path.format(**ids)))) <= {"/accounts/logout/"}


def test_who_may_not_deploy_to_a_protected_channel_is_offered_nothing_that_brings_something_there(cast: Cast, browse, ids):
    Channel.objects.update(protected=True, deploy_role="owner")
    guarded = (
        "rollback",
        "promote",
        "freeze",
        "protect",
        "deploy",
        "publish",
        "stash",
        "discard",
        "set",
        "unset",
        "connection/set",
        "trial",
    )
    for path in ("", "releases/", "releases/1/", "code/", "channels/", "connection/", "settings/"):
        for site in ("guestbook", "poster"):
            offered = _offered(browse(cast.bob).get(f"/sites/{site}/{path}"))
            refused = {one for one in offered if any(one.rstrip("/").endswith(f"/{word}") for word in guarded)}
            assert not refused, (site, path)
    assert any("/protect/" in one for one in _offered(browse(cast.alice).get("/sites/guestbook/releases/")))


def _offered(response) -> list[str]:
    """Where the page's forms lead."""
    return [one.partition("?")[0] for one in re.findall(r'<form[^>]* method="post"[^>]* action="([^"]+)"', response.content.decode())]


@pytest.mark.parametrize("path", SITE_PAGES)
def test_for_an_outsider_the_site_does_not_exist(cast: Cast, browse, ids, path: str):
    response = browse(cast.charlie).get(path.format(**ids))
    assert response.status_code == 404
    assert b"choir" not in response.content


@pytest.mark.parametrize("path", [*SITE_PAGES, *OWN_PAGES, "/platform/"])
def test_a_stranger_is_sent_to_sign_in(browse, ids, path: str):
    response = browse(None).get(path.format(**ids))
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("path", ACTIONS)
def test_actions_need_the_role(cast: Cast, browse, ids, path: str):
    for name, role in (("bob", "developer"), ("vera", "viewer"), ("charlie", "")):
        status = browse(person(cast, name)).post(path.format(**ids), {}).status_code
        if role == "":
            assert status == 404, name
        elif role == "viewer" or (ACTIONS[path] == "owner" and role == "developer"):
            assert status == 403, name
        else:
            assert status in {200, 302, 400}, name


@pytest.mark.parametrize("path", ACTIONS)
def test_actions_are_only_taken_by_post_with_the_token_against_forged_requests(cast: Cast, ids, path: str):
    client = Client(headers={"Host": "sitewright.localhost"}, enforce_csrf_checks=True)
    client.force_login(cast.alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(path.format(**ids), {}).status_code == 403
    if not path.endswith("/deploy/"):
        assert client.get(path.format(**ids)).status_code == 405


def test_operations_are_seen_by_the_team_only(cast: Cast, browse):
    operation = Operation.objects.filter(site_name="guestbook", kind="create").get()
    for who, status in ((cast.alice, 200), (cast.bob, 200), (cast.vera, 200), (cast.ada, 200), (cast.charlie, 404)):
        assert browse(who).get(f"/operations/{operation.id}/").status_code == status
        assert browse(who).get(f"/operations/{operation.id}/log/download/").status_code == status
    assert browse(cast.vera).post(f"/operations/{operation.id}/cancel/").status_code == 403
    assert browse(cast.charlie).post(f"/operations/{operation.id}/retry/").status_code == 404


def test_the_platform_page_is_for_administrators_and_unknown_to_others(cast: Cast, browse):
    assert browse(cast.ada).get("/platform/").status_code == 200
    assert browse(cast.alice).get("/platform/").status_code == 404


@pytest.mark.parametrize("name", ["alice", "bob", "vera", "charlie"])
def test_everybody_has_a_list_and_an_account(cast: Cast, browse, name: str):
    client = browse(person(cast, name))
    assert client.get("/").status_code == 302
    listed = client.get("/sites/").content
    assert (b"guestbook" in listed) is (name != "charlie")
    assert client.get("/accounts/").status_code == 200


def test_each_page_of_these_apps_is_walked_here_or_named_as_not_a_site_s():
    walked = {path.split("?")[0] for path in (*SITE_PAGES, *ACTIONS)}
    patterns = {_example(template) for template in _templates(get_resolver().url_patterns)}
    missing = {
        pattern
        for pattern in patterns
        if pattern.startswith("/sites/guestbook/")
        and pattern not in walked
        and pattern.replace("guestbook", "poster") not in walked
        and not pattern.endswith(("<slug:action>/", "<slug:tab>/"))
    }
    assert missing == set()


def _example(template: str) -> str:
    for argument, example in (("name", "guestbook"), ("build_id", "{build}"), ("delivery_id", "{delivery}"), ("preview_id", "{preview}")):
        template = template.replace(f"<slug:{argument}>", example)
    return template.replace("<int:number>", "1")


def _templates(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> list[str]:
    found = []
    for pattern in patterns:
        here = prefix + str(pattern.pattern)
        found += _templates(pattern.url_patterns, here) if isinstance(pattern, URLResolver) else [here]
    return found
