"""Previews: a channel of its own for a pull request or a branch, made and removed by what happens to that.

A pull request from a fork is a stranger's code: nothing of it is fetched or built before a member of the team has allowed that very commit,
and its preview never gets a secret. Any other preview gets production's variables, without the secret ones.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from sitewright.bus.messages import CommitSource
from sitewright.domain.channel import Previews
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import OperationState
from sitewright.errors import ConflictError, SitewrightError, UnavailableError
from sitewright.manager.accounts.models import User
from sitewright.manager.audit.services import noted, trail
from sitewright.manager.operations.claims import moment
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.services import Ask, submit
from sitewright.manager.repositories import preview_channels, reports
from sitewright.manager.repositories.models import CommitState, Connection, PullRequest, PullState
from sitewright.manager.repositories.places import channel_address
from sitewright.manager.repositories.syncing import Why, ask_sync
from sitewright.manager.repositories.vendors import reading
from sitewright.manager.repositories.vendors.values import PullAction, PullChanged
from sitewright.manager.runtime import runtime
from sitewright.manager.sites.models import Channel, Site

log = logging.getLogger(__name__)

OLDEST_SECONDS = 30 * 86400.0
"""An event that is older than the delivery log cannot be told from a repeated one."""
OUR_OWN = "edits/"
"""Branches in which edits of a live channel are kept: nobody wants previews of those."""
SHORT = 10
MOST_AT_ONCE = 50
MOST_OPEN = 200
"""Open pull requests of one site: anybody may offer some."""
KEPT_DAYS = 90


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an event; ``detail`` is a sentence."""

    detail: str
    operation: Operation | None = None
    ignored: bool = False


def told(connection: Connection, change: PullChanged, *, again: bool = False) -> Told:
    """A pull request changed over there. Call inside a transaction. *again*: somebody wants it so, however old it is."""
    site = connection.site
    row = (
        PullRequest.objects.select_for_update(of=("self",))
        .filter(site=site, number=change.number)
        .select_related("channel", "site__team")
        .first()
    )
    late = "" if again else _late(row, change)
    if late:
        return Told(late, ignored=True)
    if change.action is PullAction.CLOSED:
        return _closed(row, change)
    if site.previews == Previews.OFF.value:
        return Told("Previews of pull requests are switched off.", ignored=True)
    if row is None and PullRequest.objects.filter(site=site, state=PullState.OPEN.value).count() >= MOST_OPEN:
        return Told(f"{MOST_OPEN} pull requests are open already.", ignored=True)
    row = _noted_down(site, row, change)
    if waits(row):
        _ask_team(connection, row)
        return Told("It comes from a fork, and waits until a member of the team allows it.")
    return Told("Its preview is being made.", ask_sync(connection, Why(f"pull request #{row.number}", pull=row.id)))


def _late(row: PullRequest | None, change: PullChanged) -> str:
    """Why an event comes too late to change anything; "" when it does not."""
    if change.at and runtime().clock.now() - change.at > OLDEST_SECONDS:
        return "It is older than 30 days."
    return "Something newer is known of this pull request." if row is not None and 0 < change.at < row.told_at else ""


def _locked() -> QuerySet[PullRequest]:
    """Rows that nobody else changes before the transaction ends; channels and sites are read beside them."""
    return PullRequest.objects.select_for_update(of=("self",)).select_related("channel", "site__team")


def _noted_down(site: Site, row: PullRequest | None, change: PullChanged) -> PullRequest:
    row = row or PullRequest(site=site, number=change.number)
    row.branch, row.title, row.author, row.url = change.branch, change.title[:200], change.author[:100], change.url
    # What was a fork's once stays one: who may push to it is not ours to know.
    row.head, row.fork, row.told_at = change.commit, row.fork or change.fork, max(change.at, row.told_at)
    row.state, row.changed_at = PullState.OPEN.value, moment(runtime().clock.now())
    row.save()
    return row


def _closed(row: PullRequest | None, change: PullChanged) -> Told:
    if row is None:
        return Told("There is no preview of it.", ignored=True)
    row.told_at = max(change.at, row.told_at)
    row.save(update_fields=["told_at"])
    state = PullState.MERGED if change.merged else PullState.CLOSED
    operation = close(row, state, f"#{row.number} was {state.value}.", None)
    return Told("Its preview is removed." if operation else "It had no preview.", operation)


def waits(row: PullRequest) -> bool:
    """Whether nothing of its newest commit may be built yet."""
    return row.fork and row.state == PullState.OPEN.value and row.allowed_head != row.head


def _ask_team(connection: Connection | None, row: PullRequest) -> None:
    if row.waiting_told == row.head:
        return
    PullRequest.objects.filter(id=row.id).update(waiting_told=row.head)
    who, title = as_told(row.author, 40) or "Somebody", as_told(row.title)
    text = f"{who} offers #{row.number} “{title}” from a fork: {row.head[:SHORT]} is not built before a member allows it."
    noted(row.site_id, EventKind.PREVIEW_WAITING, text, None)
    if connection is not None:
        reports.tell(connection, row, CommitState.PENDING, "A preview waits until a member of the team allows this commit.")


def allow(user: User, row: PullRequest, commit: str = "") -> Operation:
    """Let this very commit of a fork's pull request be built and shown. Raises ConflictError when there is nothing to allow, or when
    *commit*, which the person has looked at, is not the newest any more."""
    with transaction.atomic():
        row = _locked().get(id=row.id)
        connection = Connection.objects.filter(site=row.site).select_related("site__team").first()
        if row.state != PullState.OPEN.value or connection is None or row.number is None:
            raise ConflictError("This pull request is not open any more.")
        if commit and commit != row.head:
            raise ConflictError(
                "The pull request has a newer commit by now; nothing was allowed.",
                details=f"It is {row.head[:SHORT]}.",
                resolution="Look at it, then allow that.",
            )
        row.allowed_head, row.allowed_by = row.head, user
        row.save(update_fields=["allowed_head", "allowed_by"])
        trail(user, "preview.allowed", row.site_id, row.site.name, number=row.number, commit=row.head)
        return ask_sync(connection, Why(f"{user.email} allowed #{row.number}", pull=row.id), user)


def fetched(row: PullRequest, head: str, user: User | None) -> str:
    """The newest commit of a pull request is in the site's repository; a sentence about what follows. Call inside a transaction."""
    row = _locked().get(id=row.id)
    if row.state != PullState.OPEN.value:
        return "It was closed meanwhile."
    if not reading.COMMIT.fullmatch(head):
        return "Its commit is not there."
    if head != row.head:
        row.head = head
        row.save(update_fields=["head"])
    if waits(row):
        _ask_team(Connection.objects.filter(site=row.site).first(), row)
        return "It has a newer commit, which waits to be allowed."
    try:
        with transaction.atomic():
            operation = show(row, user)
    except UnavailableError:
        raise
    except SitewrightError as error:
        noted(row.site_id, EventKind.CHANGE_FAILED, f"There is no preview of {in_words(row)}. {error.message}", None)
        return f"There is no preview of it. {error.message}"
    return "Its preview is being made." if operation else "Its preview shows it already."


def show(row: PullRequest, user: User | None) -> Operation | None:
    """Deploy its newest commit to its channel, which is made if need be; None when that is what it shows. Raises ConflictError, QuotaError,
    InvalidValueError. Call inside a transaction."""
    channel, fresh = row.channel, row.channel is None
    if channel is not None and preview_channels.removing(channel):
        raise UnavailableError("Its former preview is still being removed.", resolution="Push again in a minute.")
    if channel is None:
        channel = preview_channels.make(row)
        PullRequest.objects.filter(id=row.id).update(channel=channel)
        noted(row.site_id, EventKind.PREVIEW_OPENED, f"{in_words(row)} gets a preview at {channel_address(channel)}.", user, channel)
    expires = moment(runtime().clock.now()) + timedelta(days=row.site.preview_days)
    Channel.objects.filter(id=channel.id).update(expires_at=expires)
    PullRequest.objects.filter(id=row.id).update(changed_at=moment(runtime().clock.now()))
    if not fresh and _shows(channel, row.head):
        return None
    preview_channels.give_up_queued(channel)
    source = CommitSource(commit=row.head).model_dump(mode="json")
    operation = submit(Ask(OperationKind.DEPLOY, row.site, user, {"source": source, "preview": row.id, "fork": row.fork}, channel=channel))
    connection = Connection.objects.filter(site=row.site).first()
    if connection is not None:
        reports.expect(connection, row.head, operation, row)
    return operation


def _shows(channel: Channel, commit: str) -> bool:
    """Whether the last deploy was of that very commit, and did not fail."""
    last = Operation.objects.filter(channel=channel, kind=OperationKind.DEPLOY.value).order_by("-created_at").first()
    if last is None or last.state in {OperationState.FAILED.value, OperationState.CANCELLED.value}:
        return False
    return bool(last.params.get("source", {}).get("commit") == commit)


def close(row: PullRequest, state: PullState, why: str, user: User | None) -> Operation | None:
    """Remove its channel; None when it had none. *why* is for the timeline. Call inside a transaction."""
    PullRequest.objects.filter(id=row.id).update(state=state.value, changed_at=moment(runtime().clock.now()))
    channel = row.channel
    if channel is None:
        return None
    operation = preview_channels.remove(channel, user)
    noted(row.site_id, EventKind.PREVIEW_CLOSED, f"The preview of {in_words(row)} is removed: {why}", user)
    connection = Connection.objects.filter(site_id=row.site_id).first()
    if connection is not None and row.number is not None:
        reports.tell(connection, row, CommitState.SUCCESS, "The preview was removed.")
    return operation


def close_by_hand(user: User, row: PullRequest) -> Operation:
    """Remove it because somebody wants it. Raises ConflictError when it has no channel."""
    with transaction.atomic():
        row = _locked().get(id=row.id)
        operation = close(row, PullState.CLOSED, f"{user.email} closed it.", user)
        if operation is None:
            raise ConflictError("It has no preview.")
        trail(user, "preview.closed", row.site_id, row.site.name, number=row.number, branch=row.branch)
    return operation


def leave(site: Site, user: User) -> None:
    """The site is connected with another repository: its pull requests have the same numbers and are others. Call inside a transaction.

    The rows stay, closed, because the channels of forks are known by them until they are gone.
    """
    for row in _locked().filter(site=site, number__isnull=False):
        if row.channel is not None:
            preview_channels.remove(row.channel, user)
    rows = PullRequest.objects.filter(site=site, number__isnull=False)
    rows.update(state=PullState.CLOSED.value, told_at=0.0, allowed_head="", waiting_told="", comment="")


def branch_pushed(site: Site, branch: str, commit: str, user: User | None) -> list[str]:
    """A branch that no channel follows was pushed (*commit* "": deleted); lines for whoever pushed. Never raises."""
    try:
        with transaction.atomic():
            return _branch_pushed(site, branch, commit, user)
    except SitewrightError as error:
        return [f"{as_told(branch)} is stored, without a preview. {error.message}"]
    except Exception:
        log.exception("preview.failed", extra={"site": site.name})
        return [f"{as_told(branch)} is stored; its preview could not be made."]


def _branch_pushed(site: Site, branch: str, commit: str, user: User | None) -> list[str]:
    rows = (
        PullRequest.objects.select_for_update(of=("self",))
        .filter(site=site, number=None, branch=branch)
        .select_related("channel", "site__team")
    )
    row = rows.first()
    if not commit:
        operation = close(row, PullState.CLOSED, "the branch was deleted.", user) if row is not None else None
        return [f"The preview of {as_told(branch)} is removed."] if operation else []
    if site.previews != Previews.BRANCHES.value or branch.startswith(OUR_OWN) or not reading.branch(branch):
        return []
    row = row or PullRequest(site=site, number=None, branch=branch)
    row.head, row.state, row.changed_at = commit, PullState.OPEN.value, moment(runtime().clock.now())
    row.author = (user.email if user else "")[:100]
    row.save()
    show(row, user)
    row.refresh_from_db()
    return [f"{as_told(branch)} gets a preview: {channel_address(row.channel)}"]


def sweep() -> int:
    """Remove previews of which nothing new came for so long, and those of closed ones that could not be removed before; how many."""
    due = PullRequest.objects.filter(channel__expires_at__lte=moment(runtime().clock.now()))
    left = PullRequest.objects.exclude(state=PullState.OPEN.value).exclude(channel=None)
    count = 0
    for row_id in [*due.values_list("id", flat=True)[:MOST_AT_ONCE], *left.values_list("id", flat=True)[:MOST_AT_ONCE]]:
        with transaction.atomic():
            row = _locked().filter(id=row_id).exclude(channel=None).first()
            if row is None or row.channel is None or preview_channels.removing(row.channel):
                continue
            state = PullState(row.state)
            why = f"nothing new came for {row.site.preview_days} days." if state is PullState.OPEN else f"it was {state.value}."
            close(row, state, why, None)
            count += 1
    return count


def forget_old() -> None:
    """Closed ones without a channel are forgotten after 90 days."""
    since = moment(runtime().clock.now()) - timedelta(days=KEPT_DAYS)
    PullRequest.objects.exclude(state=PullState.OPEN.value).filter(channel=None, changed_at__lt=since).delete()


def in_words(row: PullRequest) -> str:
    """`#12 “Add a page”`, or the branch."""
    return f"#{row.number} “{as_told(row.title)}”" if row.number is not None else as_told(row.branch)
