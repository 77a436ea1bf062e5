"""/sites/{name}/branches, commits, edits, publish: the site's repository, and what was edited in a live channel's folder."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status
from ninja.params.functions import Query

from sitewright.domain.git import BRANCHES
from sitewright.domain.states import Role
from sitewright.errors import NotFoundError
from sitewright.manager.api.auth import idempotency_key, person
from sitewright.manager.operations.schemas import Accepted, operation_out
from sitewright.manager.sites import branches, publishing
from sitewright.manager.sites.access import channels_for
from sitewright.manager.sites.api.channel import CHANNEL, asked_channel
from sitewright.manager.sites.present_channels import commit_out
from sitewright.manager.sites.schemas_channels import BranchList, BranchOut, CommitList, EditList, EditOut, PublishIn, StashIn

router = Router(tags=["code"])


@router.get("/{name}/branches", response=BranchList, operation_id="listBranches")
def list_branches(request: HttpRequest, name: str) -> BranchList:
    """The branches of the site's repository, and which channel follows which."""
    channel = asked_channel(request, name, "")
    followed = dict(channels_for(person(request)).filter(site=channel.site).exclude(branch="").values_list("branch", "name"))
    found = branches.refs(channel)
    names = [(ref.name.removeprefix(BRANCHES), ref.commit) for ref in found.refs if ref.name.startswith(BRANCHES)]
    items = [BranchOut(name=branch, commit=commit_out(commit), channel=followed.get(branch, "")) for branch, commit in sorted(names)]
    return BranchList(items=items, next=None, size_bytes=found.size_bytes)


@router.get("/{name}/commits", response=CommitList, operation_id="listCommits")
def list_commits(
    request: HttpRequest, name: str, branch: str = Query("", max_length=200), limit: int = Query(50, ge=1, le=200)
) -> CommitList:
    """The newest commits of a branch; of the default branch without one."""
    channel = asked_channel(request, name, "")
    head = branches.head(channel, branch or channel.site.default_branch)
    if not head:
        if branch:
            raise NotFoundError(f"There is no branch “{branch[:60]}”.")
        return CommitList(items=[], next=None)
    found = branches.changes(channel, "", head, limit)
    return CommitList(items=[commit_out(one) for one in found.commits], next=None)


@router.get("/{name}/edits", response=EditList, operation_id="listEdits")
def list_edits(request: HttpRequest, name: str, channel: str = CHANNEL) -> EditList:
    """What is in a live channel's folder and in no commit."""
    row = asked_channel(request, name, channel)
    found = publishing.edits(row)
    return EditList(commit=row.commit, items=[EditOut(kind=kind, path=path) for kind, path in found.files], more=found.more)


@router.post("/{name}/publish", response={202: Accepted}, operation_id="publishEdits")
def publish_edits(request: HttpRequest, name: str, body: PublishIn | None = None, channel: str = CHANNEL) -> Status[Accepted]:
    """Commit the edits of a live channel to its branch."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    message, branch = (body.message, body.branch) if body else ("", "")
    operation = publishing.publish(person(request), row, message, branch, idempotency_key(request))
    return Status(202, Accepted(operation=operation_out(operation)))


@router.post("/{name}/edits/discard", response={202: Accepted}, operation_id="discardEdits")
def discard_edits(request: HttpRequest, name: str, channel: str = CHANNEL) -> Status[Accepted]:
    """Throw the edits away: the folder is again what was last published."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    return Status(202, Accepted(operation=operation_out(publishing.discard(person(request), row, idempotency_key(request)))))


@router.post("/{name}/edits/stash", response={202: Accepted}, operation_id="stashEdits")
def stash_edits(request: HttpRequest, name: str, body: StashIn | None = None, channel: str = CHANNEL) -> Status[Accepted]:
    """Keep the edits on a new branch, then lay out what was last published."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    operation = publishing.stash(person(request), row, body.branch if body else "", idempotency_key(request))
    return Status(202, Accepted(operation=operation_out(operation)))
