"""GitHub, GitHub Enterprise. Source: docs.github.com, “Webhook events and payloads”, “Validating webhook deliveries”."""

from __future__ import annotations

import json
from typing import Any

from sitewright.manager.repositories.vendors import reading
from sitewright.manager.repositories.vendors.base import Headers
from sitewright.manager.repositories.vendors.signing import signed
from sitewright.manager.repositories.vendors.values import (
    Call,
    HookEvent,
    Ignored,
    Ping,
    PullAction,
    PullChanged,
    Pushed,
    StatusNews,
    There,
)

NOT_UNDERSTOOD = Ignored("What was sent is no JSON object.")
INCOMPLETE = Ignored("What was sent lacks something that we need.")
_ACTIONS = {
    "opened": PullAction.OPENED,
    "reopened": PullAction.OPENED,
    "synchronize": PullAction.CHANGED,
    "synchronized": PullAction.CHANGED,
    "edited": PullAction.CHANGED,
    "ready_for_review": PullAction.CHANGED,
    "closed": PullAction.CLOSED,
}


class GitHub:
    """Its scheme."""

    reports = True
    git_user = "x-access-token"

    def verify(self, headers: Headers, body: bytes, secret: str, now: float) -> bool:  # noqa: ARG002 - no time in this scheme
        """`X-Hub-Signature-256: sha256=…`; the older SHA-1 signature is not believed."""
        kind, _, given = headers.get("x-hub-signature-256", "").partition("=")
        return signed(secret, body, given if kind == "sha256" else "")

    def delivery(self, headers: Headers) -> str:
        """`X-GitHub-Delivery`."""
        return reading.delivery(headers.get("x-github-delivery", ""))

    def event(self, headers: Headers) -> str:
        """`X-GitHub-Event`."""
        return reading.event(headers.get("x-github-event", ""))

    def parse(self, event: str, headers: Headers, body: bytes) -> HookEvent:
        """Pushes (of tags too), pull requests, pings."""
        found = reading.document(headers, body)
        if found is None:
            return NOT_UNDERSTOOD
        if event == "ping":
            return Ping(reading.text(found, "repository", "full_name"))
        if event == "push":
            return pushed(found)
        if event in {"pull_request", "pull_request_sync"}:
            return pull(found)
        return Ignored(f"The event “{event}” changes nothing here.")

    def pull_ref(self, number: int) -> str:
        """`refs/pull/7/head`."""
        return f"refs/pull/{number}/head"

    def status(self, there: There, news: StatusNews) -> Call:
        """POST /repos/{owner}/{repo}/statuses/{sha}."""
        body = {"state": news.state, "target_url": news.target, "description": news.description[:140], "context": news.context}
        return self._call("POST", there, f"/statuses/{news.commit}", body)

    def comments(self, there: There, number: int) -> Call:
        """GET /repos/{owner}/{repo}/issues/{number}/comments."""
        return self._call("GET", there, f"/issues/{number}/comments?per_page=100", None)

    def comment(self, there: There, number: int, text: str, known: str = "") -> Call:
        """POST …/issues/{number}/comments, PATCH …/issues/comments/{id}."""
        if known:
            return self._call("PATCH", there, f"/issues/comments/{known}", {"body": text})
        return self._call("POST", there, f"/issues/{number}/comments", {"body": text})

    def hook(self, there: There, address: str, secret: str) -> Call:
        """POST /repos/{owner}/{repo}/hooks."""
        config = {"url": address, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
        body = {"name": "web", "active": True, "events": ["push", "pull_request"], "config": config}
        return self._call("POST", there, "/hooks", body)

    @staticmethod
    def _call(method: str, there: There, path: str, body: dict[str, Any] | None) -> Call:
        headers = (
            ("Accept", "application/vnd.github+json"),
            ("Authorization", f"Bearer {there.token}"),
            ("X-GitHub-Api-Version", "2022-11-28"),
        )
        return call(method, f"{there.api_url}/repos/{there.project}{path}", headers, body)


def call(method: str, url: str, headers: tuple[tuple[str, str], ...], body: dict[str, Any] | None) -> Call:
    """A call with a JSON body, or none."""
    if body is None:
        return Call(method, url, headers)
    return Call(method, url, (*headers, ("Content-Type", "application/json")), json.dumps(body).encode())


def pushed(found: dict[str, Any]) -> HookEvent:
    """A push as GitHub writes it, and Gitea after it."""
    ref = reading.reference(found.get("ref"))
    if not ref or (not (new := reading.commit(found, "after")) and not _is_deleted(found)):
        return INCOMPLETE
    return Pushed(
        ref=ref,
        old=reading.commit(found, "before"),
        new=new,
        who=reading.text(found, "sender", "login", longest=100) or reading.text(found, "pusher", "name", longest=100),
        project=reading.text(found, "repository", "full_name"),
        forced=found.get("forced") is True,
    )


def _is_deleted(found: dict[str, Any]) -> bool:
    after = found.get("after")
    return isinstance(after, str) and reading.NOTHING.fullmatch(after) is not None


def pull(found: dict[str, Any]) -> HookEvent:
    """A pull request as GitHub writes it, and Gitea after it. A head whose repository is gone is a fork's."""
    said = reading.text(found, "action")
    action = _ACTIONS.get(said)
    if action is None:
        return Ignored(f"A pull request that was “{said[:30]}” changes nothing here.")
    one = found.get("pull_request")
    if reading.text(one, "state") == "closed":
        action = PullAction.CLOSED  # somebody edits the title of one that is over
    number = reading.number(found, "number") or reading.number(one, "number")
    commit, branch = reading.commit(one, "head", "sha"), reading.branch(reading.inner(one, "head", "ref"))
    base, head = _repository(one, "base"), _repository(one, "head")
    if not number or not commit or not branch or not base:
        return INCOMPLETE
    return PullChanged(
        number=number,
        action=action,
        branch=branch,
        commit=commit,
        fork=head.lower() != base.lower(),
        merged=reading.inner(one, "merged") is True,
        title=reading.text(one, "title"),
        author=reading.text(one, "user", "login", longest=100),
        url=reading.address(one, "html_url"),
        project=base,
        head_project=head,
        at=reading.moment(reading.inner(one, "updated_at")),
    )


def _repository(one: Any, side: str) -> str:
    return reading.text(one, side, "repo", "full_name")
