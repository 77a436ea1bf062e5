"""Steps of releases: their files, their release commands, one that is on trial, and what of old ones may go."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import new_id
from sitewright.engines.base import JobResult
from sitewright.errors import SitewrightError
from sitewright.orchestrator import folders, steps
from sitewright.orchestrator.canary import judge
from sitewright.orchestrator.folders import make_folders
from sitewright.orchestrator.logs import Source
from sitewright.orchestrator.memory import ChannelMemory
from sitewright.orchestrator.model import RELEASE_COMMAND, Hook, HookState, Tree
from sitewright.orchestrator.problems import in_full
from sitewright.orchestrator.specs import hook_spec

if TYPE_CHECKING:
    from sitewright.orchestrator.apply import Tools

TREE_RETRY_SECONDS = 30.0

UsedFolders = Callable[[DesiredChannel], frozenset[Path]]
"""The folders of a channel that must not be deleted now: mounted by an instance, wanted, or served."""
Spawn = Callable[[str, Coroutine[Any, Any, None]], None]
"""(channel id, what to do in the background); the channel is planned again when it has ended."""


class ReleaseApplier:
    """Does the steps of releases."""

    def __init__(self, tools: Tools, spawn: Spawn, used_folders: UsedFolders) -> None:
        self._tools = tools
        self._spawn = spawn
        self._used_folders = used_folders

    def do(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.Step) -> None:
        """Begin one step; what takes long goes on in the background."""
        match step:
            case steps.RunHook():
                _begin_hook(desired, memory, step.hook)
                self._spawn(desired.channel_id, self._hook(desired, memory, step))
            case steps.EnsureTree(trial):
                if trial:
                    memory.trial_tree = replace(memory.trial_tree, preparing=True)
                else:
                    memory.tree = replace(memory.tree, preparing=True)
                self._spawn(desired.channel_id, self._fetch(desired, memory, trial=trial))
            case steps.NoteTrial():
                self._note_trial(desired, memory, step)
            case steps.DeleteFiles():
                memory.deleting = True
                self._spawn(desired.channel_id, self._delete(desired, memory))

    def prune(self, desired: DesiredChannel) -> None:
        """Delete old releases, never one in use, in the background."""
        self._spawn(desired.channel_id, self._prune(desired))

    def _note_trial(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.NoteTrial) -> None:
        """A release that was taken out because of its own failure says so with its last words."""
        trial = step.trial
        if trial is not None and trial.aborted and not judge(trial):
            folder = self._tools.settings.paths.channel_logs(desired.site_id, desired.channel)
            trial = replace(trial, aborted=in_full(trial.aborted, self._tools.logs, folder))
        if trial is None or memory.trial is None or memory.trial.release_id != trial.release_id:
            memory.trial_tree = Tree()
        memory.trial = trial
        if step.kind is not None:
            self._tools.events.emit(step.kind, desired.site_id, desired.channel_id, step.text)

    async def _hook(self, desired: DesiredChannel, memory: ChannelMemory, step: steps.RunHook) -> None:
        settings = self._tools.settings
        job = hook_spec(settings, desired, step.wanted, new_id())
        reason = "could not be run"
        self._tools.logs.register(job.id, Source(settings.paths.channel_logs(desired.site_id, desired.channel), RELEASE_COMMAND))
        try:
            make_folders(settings, desired)
            reason = _failure(await self._tools.engine.run(job), step)
        except SitewrightError as error:
            reason = f"could not be run: {error}"
        finally:
            self._tools.logs.release(job.id)
            _end_hook(memory, replace(step.hook, state=HookState.FAILED if reason else HookState.DONE, reason=reason))

    async def _fetch(self, desired: DesiredChannel, memory: ChannelMemory, *, trial: bool) -> None:
        """The files of the channel's own release, or of the one on trial."""
        release = desired.canary.release if trial and desired.canary is not None else desired.release
        problem = "The release's files could not be put in place."
        try:
            await self._tools.ensure_tree(replace(desired, release=release, canary=None))
            problem = ""
        except SitewrightError as error:
            problem = str(error)
        finally:
            tree = Tree(problem=problem, retry_at=self._tools.clock.now() + TREE_RETRY_SECONDS) if problem else Tree()
            if not trial:
                memory.tree = tree
            elif memory.trial is not None and release is not None and memory.trial.release_id == release.id:
                memory.trial_tree = tree  # else another one is tried by now, and this is no word about it

    async def _prune(self, desired: DesiredChannel) -> None:
        releases = self._tools.settings.paths.release(desired.site_id, desired.channel, 0).parent
        for folder in folders.old_releases(releases, self._used_folders(desired)):
            await folders.delete(self._tools.runner, folder)

    async def _delete(self, desired: DesiredChannel, memory: ChannelMemory) -> None:
        paths = self._tools.settings.paths
        channel = paths.channel(desired.site_id, desired.channel)
        try:
            await folders.delete(self._tools.runner, channel)
            if not any(channel.parent.glob("*")):
                await folders.delete(self._tools.runner, paths.site(desired.site_id))
                await folders.delete(self._tools.runner, paths.caches / desired.site_id)
            memory.deleted = True
            memory.instances.clear()
            memory.crashes.clear()
            memory.crons.clear()
            memory.serving = memory.trial = None
        finally:
            memory.deleting = False
            self._tools.logs.forget(paths.channel_logs(desired.site_id, desired.channel))


def _begin_hook(desired: DesiredChannel, memory: ChannelMemory, hook: Hook) -> None:
    """Of the channel's own release, or of the one on trial; that of one on trial before, which is the channel's own now, is kept."""
    own = desired.release.id if desired.release is not None else ""
    if hook.release_id == own:
        memory.hook = hook
        return
    if memory.trial_hook is not None and memory.trial_hook.release_id == own:
        memory.hook = memory.trial_hook
    memory.trial_hook = hook


def _end_hook(memory: ChannelMemory, hook: Hook) -> None:
    """Unless that of another release has begun in its place."""
    if memory.hook is not None and memory.hook.release_id == hook.release_id:
        memory.hook = hook
    elif memory.trial_hook is not None and memory.trial_hook.release_id == hook.release_id:
        memory.trial_hook = hook


def _failure(result: JobResult, step: steps.RunHook) -> str:
    """Why the release command failed, "" when it did not."""
    if result.timed_out:
        return f"took longer than {result.seconds:.0f} s"
    if result.cancelled:
        return "was cancelled"
    return "" if result.exit.code == 0 else result.exit.in_words(step.wanted.scale.limits)
