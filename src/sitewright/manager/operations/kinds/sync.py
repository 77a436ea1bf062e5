"""Fetching a connected repository, and deploying what has changed there."""

from __future__ import annotations

from collections.abc import Mapping

from sitewright.bus.messages import Ack, RefMove, RepositoryFetched
from sitewright.domain.events import EventKind, as_told
from sitewright.domain.git import BRANCHES, RefUpdate
from sitewright.domain.operation import OperationKind
from sitewright.errors import ConflictError, NotFoundError, SitewrightError, UnavailableError
from sitewright.manager.audit.services import noted
from sitewright.manager.bus import NodeClient
from sitewright.manager.operations.claims import moment
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan, Wait
from sitewright.manager.operations.models import Operation
from sitewright.manager.repositories import arrivals, fetching, hooking, previews, reports
from sitewright.manager.repositories.models import Connection, PullRequest
from sitewright.manager.repositories.vendors import scheme
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import branches, previewing, pushes
from sitewright.manager.sites.models import Channel, Site

MOST_TRIES = 3
MOST_PREVIEWS_AT_ONCE = 20
STILL_SECONDS = 1.0


class Sync:
    """Make the web hook over there if that was asked for; fetch; deploy what channels follow, store the rest."""

    kind = OperationKind.SYNC

    def __init__(self) -> None:
        self.steps: tuple[StepPlan, ...] = (
            StepPlan("hook", "Make the web hook", self._hook),
            StepPlan("fetch", "Fetch the repository", self._fetch),
            StepPlan("deploy", "Deploy what has changed", self._deploy),
        )

    def _hook(self, context: Context) -> Outcome:
        connection = _connection(context)
        if not context.params.get("hook") or connection.hook_made:
            return Done("Nothing to do.")
        return Done(hooking.make(connection))

    def _fetch(self, context: Context) -> Outcome:
        connection, channel = _connection(context), _production(context)
        pull = _pull(context)
        wanted = scheme(connection.vendor).pull_ref(pull.number or 0) if pull else ""
        refs = (wanted,) if wanted else ()
        tries = int(context.found().get("tries", 0))
        answer = fetching.fetch(connection, channel, refs, f"{context.operation.id}-{tries}")
        if answer.running:
            return Wait(STILL_SECONDS, "Fetching.")
        if answer.problem:
            context.remember(tries=tries + 1)
            error = fetching.failed(connection, answer)
            error.permanent = tries + 1 >= MOST_TRIES
            raise error
        if pull:
            context.remember(head=answer.refs.get(wanted, ""))
            return Done(f"#{pull.number}")
        return self._compare(context, connection, answer)

    @staticmethod
    def _compare(context: Context, connection: Connection, answer: RepositoryFetched) -> Outcome:
        now = arrivals.sensible(answer.refs)
        seen = arrivals.difference(connection.refs, now)
        if context.params.get("again"):
            seen = arrivals.Difference(now, seen.gone)
        with context.fenced():
            context.remember(changed=dict(seen.changed), gone=dict(seen.gone), default=answer.default_branch)
            Connection.objects.filter(id=connection.id).update(fetched_at=moment(context.clock.now()), problem="")
            if answer.known_hosts and not connection.known_hosts:
                # The first key that a server shows is believed, and only that one from then on.
                Connection.objects.filter(id=connection.id).update(known_hosts=answer.known_hosts[:20_000])
            fetching.look_again(connection)
        count = len(seen.changed) + len(seen.gone)
        return Done("Nothing has changed." if not count else f"{count} {'branch or tag' if count == 1 else 'branches and tags'} changed.")

    def _deploy(self, context: Context) -> Outcome:
        connection = _connection(context)
        found = context.found("fetch")
        pull = _pull(context)
        if pull:
            with context.fenced():
                return Done(previews.fetched(pull, str(found["head"]), context.operation.created_by))
        if "told" in context.found():  # the deploys were begun, and the worker was killed before it could say so
            return Done(str(context.found()["told"]))
        if context.params.get("first"):
            _follow_default(connection.site, context.params.get("branch") or str(found["default"]))
        seen = arrivals.Difference(found["changed"], found["gone"])
        if not seen.changed and not seen.gone:
            return Done("Nothing has changed.")
        production = _production(context)
        local = {ref.name: ref.commit.id for ref in branches.refs(production).refs}
        followed = set(Channel.objects.filter(site=connection.site).exclude(branch="").values_list("branch", flat=True))
        plan = arrivals.plan(seen, local, followed)
        forced = _forced(connection.site, plan, local)
        _move(production, plan.deletions)
        _move(production, plan.moves)
        with context.fenced():
            told = self._arrive(context, connection, plan, forced)
            known = {name: commit for name, commit in connection.refs.items() if name not in seen.gone} | dict(seen.changed)
            Connection.objects.filter(id=connection.id).update(refs=known)
            context.remember(told=" ".join(told))
        return Done(" ".join(told))

    def _arrive(self, context: Context, connection: Connection, plan: arrivals.Plan, forced: Mapping[str, str]) -> list[str]:
        """Begin the deploys; what cannot be deployed now is told and tried at the next push."""
        told = [f"“{as_told(branch)}” is gone over there; its channel keeps what it has." for branch in plan.kept]
        why = _why(connection, context.params.get("why", ""))
        for branch, commit in plan.arrivals.items():
            try:
                if branch in forced:
                    raise ConflictError(f"It was forced over there, and the channel “{forced[branch]}” is protected.")
                operation = pushes.arrived(connection.site, branch, commit, context.operation.created_by, why, plan.heads.get(branch))
            except SitewrightError as error:
                noted(connection.site_id, EventKind.PUSH_REFUSED, f"{as_told(branch)} was not deployed. {error.message}", None)
                told.append(f"{as_told(branch)}: {error.message}")
                continue
            if operation is not None:
                reports.expect(connection, commit, operation)
                told.append(f"{as_told(branch)} is being deployed.")
        for branch, commit in list(plan.previews.items())[:MOST_PREVIEWS_AT_ONCE]:
            told += previewing.branch_pushed(connection.site, branch, commit, context.operation.created_by)
        return told

    def undo(self, context: Context, reason: str) -> None:
        """Nothing was changed but what was finished; the next fetch goes on from there."""
        Connection.objects.filter(id=context.params.get("connection")).update(problem=reason[:1000])
        connection = Connection.objects.filter(id=context.params.get("connection")).first()
        if connection is not None:
            fetching.look_again(connection)

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


def _connection(context: Context) -> Connection:
    found = Connection.objects.select_related("site__team").filter(id=context.params["connection"]).first()
    if found is None:
        raise NotFoundError("The site is not connected with this repository any more.")
    return found


def _pull(context: Context) -> PullRequest | None:
    number = context.params.get("pull", "")
    return PullRequest.objects.select_related("site__team", "channel").filter(id=number).first() if number else None


def _production(context: Context) -> Channel:
    return Channel.objects.select_related("site__team").get(site_id=context.operation.site_id, name="production")


def _follow_default(site: Site, branch: str) -> None:
    """Production follows what is the default over there, unless another channel follows that."""
    if branch and not Channel.objects.filter(site=site, branch=branch).exists():
        Site.objects.filter(id=site.id).update(default_branch=branch)
        Channel.objects.filter(site=site, name="production").update(branch=branch)


def _forced(site: Site, plan: arrivals.Plan, local: Mapping[str, str]) -> dict[str, str]:
    """Branches that do not build on what is here and whose channels are protected, and those channels' names."""
    found = {}
    for channel in Channel.objects.select_related("site").filter(site=site, protected=True, branch__in=plan.arrivals.keys()):
        if not branches.builds_on(channel, plan.arrivals[channel.branch], local.get(BRANCHES + channel.branch, "")):
            found[channel.branch] = channel.name
    return found


def _move(channel: Channel, updates: tuple[RefUpdate, ...]) -> None:
    """Store what nobody follows: all at once, or, when something stands in the way of one, each for itself."""
    if not updates:
        return
    node = NodeClient(runtime().bus, channel.node)
    try:
        node.ask("git.move", RefMove(site_id=channel.site_id, number=channel.site.number, updates=updates), Ack, branches.SECONDS)
    except ConflictError as error:
        if len(updates) == 1:
            local = {ref.name: ref.commit.id for ref in branches.refs(channel).refs}
            if local.get(updates[0].name, "") == updates[0].old:
                return  # a branch `a` is in the way of `a/b`: it waits until that is gone
            raise UnavailableError("A branch was moved by somebody else meanwhile.") from error
        for update in updates:
            _move(channel, (update,))


def _why(connection: Connection, text: str) -> str:
    host = connection.url.partition("://")[2].rpartition("@")[2].partition("/")[0]
    return f"Fetched from {host} ({as_told(text, 80)}):" if text else f"Fetched from {host}:"
