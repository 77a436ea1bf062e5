"""From a source to a running release: create and deploy."""

from __future__ import annotations

import contextlib
from typing import Any

from django.conf import settings
from pydantic import TypeAdapter

from sitewright.bus.messages import BuildQuery, BuildRequest, BuildStatus, Source, UploadSource
from sitewright.domain.events import EventKind
from sitewright.domain.operation import OperationKind
from sitewright.domain.states import BuildState, Mode, Power
from sitewright.errors import BuildError, NotFoundError, SitewrightError
from sitewright.manager.audit.services import happened
from sitewright.manager.bus import NodeClient
from sitewright.manager.operations.handlers import Context, Done, Outcome, StepPlan, Wait
from sitewright.manager.operations.kinds.branch import (
    author_of,
    check_branch,
    check_edits,
    move_branch,
    parent_for,
    recorded,
    told_of,
)
from sitewright.manager.operations.kinds.canary import NO_TRIAL, put_on_trial, replaced, share, take_back
from sitewright.manager.operations.kinds.rollout import channel_of, put_back, roll_out
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.describing import describe
from sitewright.manager.releases.models import Build, Release
from sitewright.manager.releases.returning import by_commit, can_try, trial_is_on, went_live
from sitewright.manager.releases.services import record_build_status, record_release, request_of, start_build
from sitewright.manager.runtime import runtime
from sitewright.manager.sites import desired
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.protection import check_not_frozen

_SOURCE: TypeAdapter[Source] = TypeAdapter(Source)

LOOK_AGAIN_SECONDS = 3.0


class Deploy:
    """Build the source, keep the result as a release, switch to it; if it does not come up, the one before goes on."""

    kind = OperationKind.DEPLOY

    def __init__(self) -> None:
        self.steps: tuple[StepPlan, ...] = (
            StepPlan("source", "Receive the source", self._receive),
            StepPlan("build", "Build it", self._build),
            StepPlan("release", "Keep the result as a release", self._release),
            StepPlan("rollout", "Switch visitors to it", self._switch),
        )

    def _receive(self, context: Context) -> Outcome:
        source = _source(context)
        channel = channel_of(context)
        check_not_frozen(channel)
        if channel.canary_release_id is not None and not context.params.get("replace"):
            raise trial_is_on()
        if self._slots(context):
            can_try(channel)
        if isinstance(source, UploadSource) and not (settings.PLATFORM.paths.uploads / source.digest).is_file():
            raise NotFoundError("The uploaded file is not there any more.", resolution="Upload it again.")
        check_branch(context, channel, source)
        check_edits(context, channel)
        stashed = context.found().get("stashed")
        return Done(f"The edits of before are on the branch {stashed}." if stashed else "")

    def _build(self, context: Context) -> Outcome:
        if "build" not in context.found():
            channel = channel_of(context)
            with context.fenced():
                build = start_build(channel, context.params["source"], context.operation.created_by)
                context.remember(build=build.id, **self._parent(context, channel))
        build = Build.objects.select_related("channel__site__team").get(id=context.found()["build"])
        if BuildState(build.state) in {BuildState.QUEUED, BuildState.RUNNING}:
            status = NodeClient(runtime().bus, build.node).ask("build.start", _request(context, build), BuildStatus, 15.0)
            record_build_status(status, build.node)
            build.refresh_from_db()
        return self._judge(context, build)

    @staticmethod
    def _parent(context: Context, channel: Channel) -> dict[str, str]:
        """What the platform's own commit of the source goes on top of."""
        return {"parent": parent_for(channel)} if recorded(_source(context)) else {}

    def _judge(self, context: Context, build: Build) -> Outcome:
        state = BuildState(build.state)
        if state is BuildState.SUCCEEDED:
            happened(context.operation, EventKind.BUILD_SUCCEEDED, "The build succeeded.")
            return Done()
        if state is BuildState.FAILED:
            raise BuildError(build.problem or "The build failed.", details=build.details, resolution=build.resolution)
        if state is BuildState.CANCELLED:
            raise BuildError("The build was cancelled.")
        if build.position:
            return Wait(LOOK_AGAIN_SECONDS, f"Number {build.position} in the queue.")
        return Wait(LOOK_AGAIN_SECONDS, build.phase)

    def _release(self, context: Context) -> Outcome:
        build = Build.objects.get(id=context.found("build")["build"])
        with context.fenced():
            release = record_release(build, {"subject": told_of(_source(context)), **replaced_commit(build.channel_id)})
            context.remember(release=release.id)
        return Done(f"Release {release.number}")

    @staticmethod
    def _slots(context: Context) -> int:
        """How many slots the new release gets on trial; 0 is all at once."""
        return int(context.params.get("canary_slots", 0))

    def _switch(self, context: Context) -> Outcome:
        release = Release.objects.select_related("channel__site").get(id=context.found("release")["release"])
        slots = self._slots(context)
        if slots:
            outcome = put_on_trial(context, release, slots)
            if isinstance(outcome, Done):
                move_branch(context, release.channel, _source(context), release.commit)
                text = f"Release {release.number} is on trial with {share(slots)} of the requests."
                happened(context.operation, EventKind.CANARY_STARTED, text)
            return outcome
        outcome = self._switch_all(context, release)
        if isinstance(outcome, Done):
            move_branch(context, release.channel, _source(context), release.commit)
            went_live(release)
            self._told_live(context, release)
        return outcome

    def _told_live(self, context: Context, release: Release) -> None:
        happened(context.operation, EventKind.DEPLOYED, f"Release {release.number} is live{by_commit(release)}.")

    @staticmethod
    def _switch_all(context: Context, release: Release) -> Outcome:
        """Everybody gets it. A strategy that was asked for holds for this one time."""
        wanted: dict[str, Any] = {"release_id": release.id, "power": Power.ON.value, "commit": release.commit}
        if _source(context).kind == "folder":
            del wanted["commit"]  # nothing was laid out; what was last published is what it was
        if context.params.get("replace"):
            wanted |= NO_TRIAL
        if context.params.get("strategy"):
            wanted["strategy"] = context.params["strategy"]
        outcome = roll_out(context, wanted, _ends_trial)
        if isinstance(outcome, Done):
            _keep_usual_strategy(context)
        return outcome

    def afterwards(self, operation: Operation) -> None:
        """Say of the release who made its commit and what that changed. Asking the repository takes as long as everything else, and
        whoever waits for the deploy need not wait for it."""
        release = Release.objects.filter(id=operation.params.get("found", {}).get("release", {}).get("release", "")).first()
        if release is not None:
            describe(release, operation)

    def undo(self, context: Context, reason: str) -> None:
        """End an unfinished build; serve the release of before."""
        build = Build.objects.filter(id=context.found("build").get("build", "")).first()
        if build is not None and BuildState(build.state) in {BuildState.QUEUED, BuildState.RUNNING}:
            _cancel_build(build)
        if context.step == "build":
            happened(context.operation, EventKind.BUILD_FAILED, reason)
        if context.step == "rollout":
            said = channel_of(context).problem.partition("\n")[0]
            why = reason if context.operation.cancel_asked or not said else said
            if self._slots(context):
                take_back(context, context.found("release")["release"], why)
            else:
                put_back(context)
            happened(context.operation, EventKind.DEPLOY_FAILED, f"The new release is not live. {why}")

    def check_cancel(self, operation: Operation) -> None:
        """Always possible."""


class Create(Deploy):
    """The first deploy of a new site."""

    kind = OperationKind.CREATE

    def __init__(self) -> None:
        super().__init__()
        self.steps = (StepPlan("prepare", "Reserve the name and the address", self._prepare), *self.steps)

    def _prepare(self, context: Context) -> Outcome:
        host = channel_of(context).routes.values_list("host", flat=True).first() or ""
        happened(context.operation, EventKind.CREATED, f"The site “{context.operation.site_name}” was created.")
        return Done(settings.PLATFORM.url(host))


def _ends_trial(channel: Channel) -> dict[str, Any]:
    replaced(channel)
    return {}


def _keep_usual_strategy(context: Context) -> None:
    """Want the channel's own strategy again; the node hears of it at once if it can be reached, else by the next comparison."""
    before = context.found()["before"].get("strategy")
    if before in {None, context.params.get("strategy")} or "usual_again" in context.found():
        return
    channel = channel_of(context)
    with context.fenced():
        desired.change(channel, strategy=before)
        context.remember(usual_again=True)
    with contextlib.suppress(SitewrightError):
        desired.push(channel.id)


def replaced_commit(channel_id: str) -> dict[str, Any]:
    """What the release's changes are counted from, once somebody has the time: the commit that visitors get until then."""
    before = Channel.objects.values_list("commit", flat=True).get(id=channel_id)
    return {"changes": {"since": before}} if before else {}


def _source(context: Context) -> Source:
    return _SOURCE.validate_python(context.params["source"])


def _request(context: Context, build: Build) -> BuildRequest:
    source = _SOURCE.validate_python(build.source)
    request = request_of(build, source, Mode(build.channel.mode))
    parent = context.found().get("parent")
    if parent is None:
        return request
    return request.model_copy(update={"record": author_of(build.created_by, told_of(source)), "record_parent": parent})


def _cancel_build(build: Build) -> None:
    try:
        status = NodeClient(runtime().bus, build.node).ask("build.cancel", BuildQuery(build_id=build.id), BuildStatus)
        record_build_status(status, build.node)
    except SitewrightError:
        Build.objects.filter(id=build.id).update(state=BuildState.CANCELLED.value)
