"""Gitea and Forgejo: GitHub's payloads with headers, names and an interface of their own. Source: their pages named “Webhooks”."""

from __future__ import annotations

from typing import Any

from sitewright.manager.repositories.vendors import reading
from sitewright.manager.repositories.vendors.base import Headers
from sitewright.manager.repositories.vendors.github import NOT_UNDERSTOOD, call, pull, pushed
from sitewright.manager.repositories.vendors.signing import signed
from sitewright.manager.repositories.vendors.values import Call, HookEvent, Ignored, StatusNews, There


class Gitea:
    """Its scheme."""

    reports = True
    git_user = "git"

    def verify(self, headers: Headers, body: bytes, secret: str, now: float) -> bool:  # noqa: ARG002 - no time in this scheme
        """`X-Gitea-Signature` or `X-Forgejo-Signature`: the HMAC in hexadecimal, without a prefix."""
        return signed(secret, body, _either(headers, "signature"))

    def delivery(self, headers: Headers) -> str:
        """`X-Gitea-Delivery`."""
        return reading.delivery(_either(headers, "delivery"))

    def event(self, headers: Headers) -> str:
        """`X-Gitea-Event`."""
        return reading.event(_either(headers, "event"))

    def parse(self, event: str, headers: Headers, body: bytes) -> HookEvent:
        """Pushes (of tags too) and pull requests. New commits of a pull request come as `pull_request_sync` from newer versions; that a
        reference was made or deleted comes as `create` and `delete`, beside or instead of a push."""
        found = reading.document(headers, body)
        if found is None:
            return NOT_UNDERSTOOD
        if event == "push":
            return pushed(found)
        if event == "delete":
            return _deleted(found)
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
        """GET /repos/{owner}/{repo}/issues/{index}/comments."""
        return self._call("GET", there, f"/issues/{number}/comments", None)

    def comment(self, there: There, number: int, text: str, known: str = "") -> Call:
        """POST …/issues/{index}/comments, PATCH …/issues/comments/{id}."""
        if known:
            return self._call("PATCH", there, f"/issues/comments/{known}", {"body": text})
        return self._call("POST", there, f"/issues/{number}/comments", {"body": text})

    def hook(self, there: There, address: str, secret: str) -> Call:
        """POST /repos/{owner}/{repo}/hooks."""
        events = ["push", "delete", "pull_request", "pull_request_sync"]
        config = {"url": address, "content_type": "json", "secret": secret}
        return self._call("POST", there, "/hooks", {"type": "gitea", "active": True, "events": events, "config": config})

    @staticmethod
    def _call(method: str, there: There, path: str, body: dict[str, Any] | None) -> Call:
        headers = (("Accept", "application/json"), ("Authorization", f"token {there.token}"))
        return call(method, f"{there.api_url}/repos/{there.project}{path}", headers, body)


def _either(headers: Headers, name: str) -> str:
    return headers.get(f"x-gitea-{name}", "") or headers.get(f"x-forgejo-{name}", "")


def _deleted(found: dict[str, Any]) -> HookEvent:
    """`{"ref": "feature", "ref_type": "branch"}`: the short name, and no commit; as a push that deletes it."""
    prefix = {"branch": "refs/heads/", "tag": "refs/tags/"}.get(reading.text(found, "ref_type"), "")
    zeros = "0" * 40
    return pushed({**found, "ref": f"{prefix}{found.get('ref')}", "before": zeros, "after": zeros})
