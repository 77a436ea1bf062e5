"""GitLab. Source: docs.gitlab.com, “Webhook events”, “Webhooks”, and its REST interface."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sitewright.manager.repositories.vendors import reading
from sitewright.manager.repositories.vendors.base import Headers
from sitewright.manager.repositories.vendors.github import INCOMPLETE, NOT_UNDERSTOOD, call
from sitewright.manager.repositories.vendors.signing import same
from sitewright.manager.repositories.vendors.values import (
    Call,
    HookEvent,
    Ignored,
    PullAction,
    PullChanged,
    Pushed,
    StatusNews,
    There,
)

_ACTIONS = {
    "open": PullAction.OPENED,
    "reopen": PullAction.OPENED,
    "update": PullAction.CHANGED,
    "close": PullAction.CLOSED,
    "merge": PullAction.CLOSED,
}
_STATES = {"pending": "pending", "success": "success", "failure": "failed"}


class GitLab:
    """Its scheme."""

    reports = True
    git_user = "oauth2"

    def verify(self, headers: Headers, body: bytes, secret: str, now: float) -> bool:  # noqa: ARG002 - the secret itself is sent
        """`X-Gitlab-Token` is the secret itself."""
        return same(secret, headers.get("x-gitlab-token", ""))

    def delivery(self, headers: Headers) -> str:
        """`Idempotency-Key`, which stays when GitLab tries again; older versions have the event's UUID only."""
        return reading.delivery(headers.get("idempotency-key", "")) or reading.delivery(headers.get("x-gitlab-event-uuid", ""))

    def event(self, headers: Headers) -> str:
        """`X-Gitlab-Event`, such as `Push Hook`."""
        return reading.event(headers.get("x-gitlab-event", ""))

    def parse(self, event: str, headers: Headers, body: bytes) -> HookEvent:
        """Pushes, tags, merge requests."""
        found = reading.document(headers, body)
        if found is None:
            return NOT_UNDERSTOOD
        if event in {"Push Hook", "Tag Push Hook"}:
            return _pushed(found)
        if event == "Merge Request Hook":
            return _merge_request(found)
        return Ignored(f"The event “{event}” changes nothing here.")

    def pull_ref(self, number: int) -> str:
        """`refs/merge-requests/7/head`."""
        return f"refs/merge-requests/{number}/head"

    def status(self, there: There, news: StatusNews) -> Call:
        """POST /projects/{id}/statuses/{sha}."""
        body = {"state": _STATES[news.state], "name": news.context, "target_url": news.target, "description": news.description[:140]}
        return self._call("POST", there, f"/statuses/{news.commit}", body)

    def comments(self, there: There, number: int) -> Call:
        """GET /projects/{id}/merge_requests/{iid}/notes."""
        return self._call("GET", there, f"/merge_requests/{number}/notes?per_page=100", None)

    def comment(self, there: There, number: int, text: str, known: str = "") -> Call:
        """POST …/merge_requests/{iid}/notes, PUT …/notes/{id}."""
        path = f"/merge_requests/{number}/notes"
        return self._call("PUT", there, f"{path}/{known}", {"body": text}) if known else self._call("POST", there, path, {"body": text})

    def hook(self, there: There, address: str, secret: str) -> Call:
        """POST /projects/{id}/hooks."""
        events = {"push_events": True, "tag_push_events": True, "merge_requests_events": True, "enable_ssl_verification": True}
        return self._call("POST", there, "/hooks", {"url": address, "token": secret, **events})

    @staticmethod
    def _call(method: str, there: There, path: str, body: dict[str, Any] | None) -> Call:
        headers = (("Accept", "application/json"), ("PRIVATE-TOKEN", there.token))
        return call(method, f"{there.api_url}/projects/{quote(there.project, safe='')}{path}", headers, body)


def _pushed(found: dict[str, Any]) -> HookEvent:
    ref = reading.reference(found.get("ref"))
    after = found.get("after")
    new = reading.commit(found, "after")
    if not ref or not isinstance(after, str) or (not new and not reading.NOTHING.fullmatch(after)):
        return INCOMPLETE
    who = reading.text(found, "user_username", longest=100) or reading.text(found, "user_name", longest=100)
    return Pushed(ref=ref, old=reading.commit(found, "before"), new=new, who=who, project=_project(found, "project"))


def _merge_request(found: dict[str, Any]) -> HookEvent:
    one = found.get("object_attributes")
    said = reading.text(one, "action")
    action = _ACTIONS.get(said)
    if action is None:
        return Ignored(f"A merge request with “{said[:30]}” changes nothing here.")
    if reading.text(one, "state") in {"closed", "merged"}:
        action = PullAction.CLOSED  # somebody edits one that is over
    number, commit = reading.number(one, "iid"), reading.commit(one, "last_commit", "id")
    branch = reading.branch(reading.inner(one, "source_branch"))
    target = reading.number(one, "target_project_id")
    if not number or not commit or not branch or not target:
        return INCOMPLETE
    return PullChanged(
        number=number,
        action=action,
        branch=branch,
        commit=commit,
        fork=reading.number(one, "source_project_id") != target,
        merged=said == "merge" or reading.text(one, "state") == "merged",
        title=reading.text(one, "title"),
        author=reading.text(found, "user", "username", longest=100),
        url=reading.address(one, "url"),
        project=_project(one, "target") or _project(found, "project"),
        head_project=_project(one, "source"),
        at=reading.moment(reading.inner(one, "updated_at")),
    )


def _project(found: Any, name: str) -> str:
    return reading.text(found, name, "path_with_namespace")
