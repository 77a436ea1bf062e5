"""/sites/{name}/scale, settings, rollback, canary, crons, wake: how a site runs."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status

from sitewright.domain.operation import OperationKind
from sitewright.domain.states import Role
from sitewright.manager.api.auth import idempotency_key, person
from sitewright.manager.operations.models import Operation
from sitewright.manager.operations.schemas import Accepted, operation_out
from sitewright.manager.sites import changing
from sitewright.manager.sites.api.channel import CHANNEL, asked_channel
from sitewright.manager.sites.present_api import site_out
from sitewright.manager.sites.present_running import crons_out, scale_out, settings_out, trial_out
from sitewright.manager.sites.schemas import SiteOut
from sitewright.manager.sites.schemas_running import CronList, RollbackIn, ScaleIn, ScaleOut, SettingsOut, SettingsPatch, SleepIn, TrialOut
from sitewright.manager.sites.settled import SleepChoice, Wish
from sitewright.manager.teams.plans import allowance_for

router = Router(tags=["running"])


def _accepted(operation: Operation) -> Status[Accepted]:
    return Status(202, Accepted(operation=operation_out(operation)))


@router.get("/{name}/scale", response=ScaleOut, operation_id="getScale")
def get_scale(request: HttpRequest, name: str, channel: str = CHANNEL) -> ScaleOut:
    """Every process type: how many copies, what each may use."""
    return scale_out(asked_channel(request, name, channel))


@router.patch("/{name}/scale", response={202: Accepted}, operation_id="scaleSite")
def scale_site(request: HttpRequest, name: str, body: ScaleIn, channel: str = CHANNEL) -> Status[Accepted]:
    """Run more or fewer copies, or let each use less than the plan allows; what does not come up is put back."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    asked = {process: change.model_dump(exclude_unset=True) for process, change in body.processes.items()}
    return _accepted(changing.scale(person(request), row.site, asked, idempotency_key(request), row))


@router.get("/{name}/settings", response=SettingsOut, operation_id="getSettings")
def get_settings(request: HttpRequest, name: str, channel: str = CHANNEL) -> SettingsOut:
    """When it sleeps, which visitors stay with which copy, how a deploy takes over, and the plan."""
    return settings_out(asked_channel(request, name, channel))


@router.patch("/{name}/settings", response={202: Accepted}, operation_id="changeSettings")
def change_settings(request: HttpRequest, name: str, body: SettingsPatch, channel: str = CHANNEL) -> Status[Accepted]:
    """Change them; if the site does not come up with them, they are put back."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    wish = Wish(
        sleep=_sleep(body),
        affinity=body.affinity,
        strategy=body.strategy,
        max_surge=body.max_surge,
        visits=body.visits.model_dump(exclude_unset=True) if body.visits else {},
    )
    return _accepted(changing.configure(person(request), row.site, wish, idempotency_key(request), row))


def _sleep(body: SettingsPatch) -> SleepChoice | None:
    if isinstance(body.sleep, SleepIn):
        return body.sleep.model_dump(exclude_unset=True)
    return body.sleep


@router.post("/{name}/rollback", response={202: Accepted}, operation_id="rollBackSite")
def roll_back(request: HttpRequest, name: str, body: RollbackIn | None = None, channel: str = CHANNEL) -> Status[Accepted]:
    """Return to a release that is still kept, without a build; without a number to the one before."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    number, why = (body.release, body.why) if body else (None, "")
    return _accepted(changing.rollback(person(request), row.site, number, idempotency_key(request), row, why))


@router.get("/{name}/canary", response=TrialOut, operation_id="getCanary")
def get_canary(request: HttpRequest, name: str, channel: str = CHANNEL) -> TrialOut:
    """The release on trial beside the site's own, how both do, and what became of the last one."""
    return trial_out(asked_channel(request, name, channel))


@router.post("/{name}/canary/promote", response={202: Accepted}, operation_id="promoteCanary")
def promote_canary(request: HttpRequest, name: str, channel: str = CHANNEL) -> Status[Accepted]:
    """Give the release on trial all visitors."""
    return _end_trial(request, name, OperationKind.PROMOTE, channel)


@router.post("/{name}/canary/abort", response={202: Accepted}, operation_id="abortCanary")
def abort_canary(request: HttpRequest, name: str, channel: str = CHANNEL) -> Status[Accepted]:
    """Take the release on trial out; all visitors get the site's own."""
    return _end_trial(request, name, OperationKind.ABORT, channel)


def _end_trial(request: HttpRequest, name: str, kind: OperationKind, channel: str) -> Status[Accepted]:
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    return _accepted(changing.end_trial(person(request), row.site, kind, idempotency_key(request), row))


@router.get("/{name}/crons", response=CronList, operation_id="listCrons")
def list_crons(request: HttpRequest, name: str, channel: str = CHANNEL) -> CronList:
    """The cron processes: when they run next, when they last ran, how that ended."""
    row = asked_channel(request, name, channel)
    return CronList(items=crons_out(row, allowance_for(row.site.team)), next=None)


@router.post("/{name}/wake", response=SiteOut, operation_id="wakeSite")
def wake_site(request: HttpRequest, name: str, channel: str = CHANNEL) -> SiteOut:
    """Wake it as a visitor would; answers when that has begun. `channel.sleep.stage` of the site says when it is awake."""
    row = asked_channel(request, name, channel, Role.DEVELOPER)
    changing.wake(person(request), row.site, row)
    return site_out(row.site)
