"""What becomes of pushes: verdicts, the operation that deploys, the branch that moves last, and what whoever pushes is told."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
from datetime import UTC, datetime, timedelta

import pytest

from sitewright.bus.messages import OperationFollow, PushAsked
from sitewright.domain.git import PushAction, RefUpdate
from sitewright.domain.states import BuildState
from sitewright.manager.operations.models import Operation
from sitewright.manager.releases.models import Release
from sitewright.manager.sites.models import Channel
from sitewright.manager.sites.news import look, news
from sitewright.manager.sites.pushes import arrived, judge

MAIN = "refs/heads/main"


@pytest.fixture
def repository(stage):
    return stage.node.repository


def asked(site, user, *updates, options=(), session="s1"):
    return PushAsked(node="node1", session=session, site_id=site.id, user_id=str(user.pk), updates=updates, options=options)


def push(site, user, name, old, new, *, forced=False, options=(), session="s1"):
    return judge(asked(site, user, RefUpdate(name, old, new, forced), options=options, session=session)).verdicts[0]


def production(site):
    return Channel.objects.get(site=site, name="production")


def follow(stage, operation, cursor="", wait=0.0):
    """What whoever pushed is told next. The database is asked in the test's own thread: its transaction is nobody else's to see."""
    asked = queue.SimpleQueue()

    async def reader(work):
        answer = concurrent.futures.Future()
        asked.put((work, answer))
        return await asyncio.wrap_future(answer)

    told = stage.bus.spawn(news(OperationFollow(operation=operation, cursor=cursor, wait_seconds=wait), reader))
    while not told.done():
        with contextlib.suppress(queue.Empty):
            work, answer = asked.get(timeout=0.05)
            answer.set_result(work())
    return told.result()


def told(stage, operation):
    """Everything, and the end."""
    lines, cursor = [], ""
    while True:
        answer = follow(stage, operation, cursor)
        lines += answer.lines
        if answer.ended or answer.cursor == cursor:
            return lines, answer
        cursor = answer.cursor


def test_a_push_to_the_branch_of_production_is_deployed_and_the_branch_moves_last(cast, stage, guestbook, repository):
    first = repository.commit("A first page")
    verdict = push(guestbook, cast.bob, MAIN, "", first)
    assert verdict.action is PushAction.DEPLOY
    assert repository.head("main") == ""
    stage.play()
    operation = Operation.objects.get(id=verdict.operation)
    assert (operation.state, operation.created_by, operation.channel) == ("succeeded", cast.bob, production(guestbook))
    assert repository.head("main") == first
    release = Release.objects.get(number=2)
    assert (release.commit, release.subject, release.author) == (first, "A first page", "Bob <bob@example.org>")
    assert production(guestbook).commit == first


def test_what_was_changed_since_the_release_before_is_counted(cast, stage, guestbook, repository):
    first = repository.commit("A first page")
    push(guestbook, cast.bob, MAIN, "", first)
    stage.play()
    second = repository.commit("A second page", first)
    push(guestbook, cast.bob, MAIN, first, second, session="s2")
    stage.play()
    assert Release.objects.get(number=3).changes == {"commits": 1, "files": 1, "added": 2, "removed": 1}
    assert repository.head("main") == second


def test_asked_again_about_the_same_push_it_starts_nothing_new(cast, stage, guestbook, repository):
    first = repository.commit("A first page")
    one, two = push(guestbook, cast.bob, MAIN, "", first), push(guestbook, cast.bob, MAIN, "", first)
    assert one.operation == two.operation
    stage.play()
    assert push(guestbook, cast.bob, MAIN, "", first).operation == one.operation


@pytest.mark.parametrize(("who", "name"), [("vera", MAIN), ("charlie", MAIN), ("vera", "refs/tags/v1"), ("charlie", "refs/heads/else")])
def test_only_developers_push(cast, stage, guestbook, repository, who, name):
    before = Operation.objects.count()
    verdict = push(guestbook, getattr(cast, who), name, "", repository.commit("Mine"))
    assert verdict.action is PushAction.REFUSE
    assert verdict.reason
    assert Operation.objects.count() == before


def test_somebody_whose_account_is_closed_pushes_nothing(cast, stage, guestbook, repository):
    cast.bob.is_active = False
    cast.bob.save()
    assert push(guestbook, cast.bob, MAIN, "", repository.commit("Mine")).action is PushAction.REFUSE


def test_other_branches_and_tags_are_stored(cast, stage, guestbook, repository):
    commit = repository.commit("Elsewhere")
    stored = push(guestbook, cast.bob, "refs/heads/idea", "", commit)
    assert stored.action is PushAction.STORE
    assert stored.told == ("idea is stored; no channel follows it. Followed: main → production.",)
    assert push(guestbook, cast.bob, "refs/tags/v1", "", commit).action is PushAction.STORE
    assert push(guestbook, cast.bob, "refs/heads/idea", commit, "").action is PushAction.STORE


@pytest.mark.parametrize("name", ["refs/sitewright/pushes/x", "refs/notes/a", "refs/remotes/origin/main", "HEAD"])
def test_nothing_else_is_pushed(cast, stage, guestbook, repository, name):
    assert push(guestbook, cast.bob, name, "", repository.commit("Mine")).action is PushAction.REFUSE


def test_the_branch_of_a_channel_is_not_deleted(cast, stage, guestbook, repository):
    verdict = push(guestbook, cast.bob, MAIN, repository.commit("A page"), "")
    assert verdict.action is PushAction.REFUSE
    assert "follows this branch" in verdict.reason


def test_a_protected_channel_takes_no_forced_push_and_only_its_roles(cast, stage, guestbook, repository):
    Channel.objects.filter(site=guestbook).update(protected=True, deploy_role="owner")
    commit = repository.commit("A page")
    assert "protected" in push(guestbook, cast.bob, MAIN, "", commit).reason
    assert "forces" in push(guestbook, cast.alice, MAIN, "", commit, forced=True).reason
    assert push(guestbook, cast.alice, MAIN, "", commit).action is PushAction.DEPLOY


def test_a_frozen_channel_takes_no_push_and_says_until_when_and_why(cast, stage, guestbook, repository):
    until = datetime.fromtimestamp(stage.clock.now(), tz=UTC) + timedelta(hours=2)
    Channel.objects.filter(site=guestbook).update(frozen_until=until, frozen_reason="Exams", frozen_by=cast.alice)
    reason = push(guestbook, cast.bob, MAIN, "", repository.commit("A page")).reason
    assert f"{until:%Y-%m-%d %H:%M}" in reason
    assert "alice@example.org: Exams" in reason
    stage.clock.advance(3 * 3600)
    assert push(guestbook, cast.bob, MAIN, "", repository.commit("A page")).action is PushAction.DEPLOY


def test_a_freeze_that_comes_while_a_push_waits_its_turn_holds(cast, stage, guestbook, repository):
    operation = push(guestbook, cast.bob, MAIN, "", repository.commit("A page")).operation
    until = datetime.fromtimestamp(stage.clock.now(), tz=UTC) + timedelta(hours=2)
    Channel.objects.filter(site=guestbook).update(frozen_until=until)
    stage.play()
    assert Operation.objects.get(id=operation).error_code == "frozen"


def test_the_second_of_two_pushes_goes_on_when_it_builds_on_the_first(cast, stage, guestbook, repository):
    first = repository.commit("A first page")
    second = repository.commit("A second page", first)
    one = push(guestbook, cast.bob, MAIN, "", first)
    stage.clock.advance(1)
    two = push(guestbook, cast.alice, MAIN, "", second, session="s2")
    stage.play()
    assert [Operation.objects.get(id=one.operation).state, Operation.objects.get(id=two.operation).state] == ["succeeded", "succeeded"]
    assert repository.head("main") == second


def test_the_second_of_two_pushes_fails_before_it_is_built_when_it_does_not(cast, stage, guestbook, repository):
    first, other = repository.commit("A first page"), repository.commit("Another page")
    push(guestbook, cast.bob, MAIN, "", first)
    stage.clock.advance(1)
    late = push(guestbook, cast.alice, MAIN, "", other, session="s2").operation
    builds = len(stage.node.builds)
    stage.play()
    operation = Operation.objects.get(id=late)
    assert operation.state == "failed"
    assert "was moved meanwhile" in operation.error_message
    assert len(stage.node.builds) == builds + 1
    assert repository.head("main") == first


def test_a_build_that_fails_moves_nothing_and_the_old_release_goes_on(cast, stage, guestbook, repository):
    stage.node.behaviour.build, stage.node.behaviour.build_problem = BuildState.FAILED, "There is no requirements.txt."
    operation = push(guestbook, cast.bob, MAIN, "", repository.commit("A page")).operation
    stage.play()
    _lines, end = told(stage, operation)
    assert (end.ended, end.ok, end.problem) == (True, False, "There is no requirements.txt.")
    assert repository.head("main") == ""
    assert production(guestbook).release.number == 1


def test_a_release_that_does_not_start_moves_nothing(cast, stage, guestbook, repository):
    stage.node.behaviour.problem = "It ended at once."
    operation = push(guestbook, cast.bob, MAIN, "", repository.commit("A page")).operation
    stage.play()
    assert Operation.objects.get(id=operation).state == "failed"
    assert repository.head("main") == ""
    channel = production(guestbook)
    assert (channel.release.number, channel.commit) == (1, "")


def test_whoever_pushes_is_told_of_the_build_and_the_address(cast, stage, guestbook, repository):
    operation = push(guestbook, cast.bob, MAIN, "", repository.commit("A page")).operation
    stage.play()
    lines, end = told(stage, operation)
    assert lines == [
        "-----> Build it",
        "       Hello from the log",
        "-----> Switch visitors to it",
        "Live at http://guestbook.localhost:8000",
    ]
    assert (end.ended, end.ok) == (True, True)


def test_an_answer_that_was_lost_is_given_again(cast, stage, guestbook, repository):
    operation = push(guestbook, cast.bob, MAIN, "", repository.commit("A page")).operation
    stage.play()
    assert follow(stage, operation) == follow(stage, operation)
    assert follow(stage, operation, "nonsense").lines == follow(stage, operation).lines


def test_an_operation_that_is_none_ends_at_once(stage, db):
    assert follow(stage, "nothing").ended
    assert look("nothing") is None


# --- live channels ---


@pytest.fixture
def edited(stage, guestbook, repository):
    """The site runs from its folder, and somebody has edited a file."""
    published = repository.commit("As it was published")
    repository.refs[MAIN] = published
    Channel.objects.filter(site=guestbook).update(mode="live", commit=published)
    repository.edits = (("M", "app.py"), ("A", "new.txt"))
    return published


def test_a_push_to_an_edited_live_channel_is_refused_with_the_three_choices(cast, stage, guestbook, repository, edited):
    verdict = push(guestbook, cast.bob, MAIN, edited, repository.commit("Mine", edited))
    assert verdict.action is PushAction.REFUSE
    assert verdict.reason == "“production” has unpublished edits in 2 files."
    text = "\n".join(verdict.told)
    assert "  changed: app.py" in text
    for choice in ("publish", "stash", "overwrite"):
        assert f"git push -o {choice}" in text


def test_edits_that_come_while_a_push_waits_its_turn_are_not_lost(cast, stage, guestbook, repository, edited):
    edits, repository.edits = repository.edits, ()
    operation = push(guestbook, cast.bob, MAIN, edited, repository.commit("Mine", edited)).operation
    repository.edits = edits
    builds = len(stage.node.builds)
    stage.play()
    assert Operation.objects.get(id=operation).error_code == "edited"
    assert len(stage.node.builds) == builds


def test_with_stash_they_are_on_a_branch_of_their_own(cast, stage, guestbook, repository, edited):
    mine = repository.commit("Mine", edited)
    operation = push(guestbook, cast.bob, MAIN, edited, mine, options=("stash",)).operation
    stage.play()
    assert Operation.objects.get(id=operation).state == "succeeded"
    (kept,) = [name for name in repository.refs if name.startswith("refs/heads/edits/")]
    assert repository.commits[repository.refs[kept]][0] == edited
    assert repository.head("main") == mine


def test_with_overwrite_they_are_lost(cast, stage, guestbook, repository, edited):
    mine = repository.commit("Mine", edited)
    push(guestbook, cast.bob, MAIN, edited, mine, options=("overwrite",))
    stage.play()
    assert repository.head("main") == mine
    assert production(guestbook).commit == mine


def test_two_choices_are_none(cast, stage, guestbook, repository, edited):
    verdict = push(guestbook, cast.bob, MAIN, edited, repository.commit("Mine", edited), options=("stash", "overwrite"))
    assert verdict.action is PushAction.REFUSE


# --- killed at any moment ---


@pytest.mark.parametrize("write", range(1, 16))
def test_killed_at_any_write_a_push_is_deployed_once(cast, stage, guestbook, repository, monkeypatch, write):
    first = repository.commit("A first page")
    builds = len(stage.node.builds)
    operation = push(guestbook, cast.bob, MAIN, "", first).operation
    stage.play_killed(monkeypatch, write)
    assert Operation.objects.get(id=operation).state == "succeeded"
    assert repository.head("main") == first
    assert len(stage.node.builds) == builds + 1
    assert [move.updates[0].new for move in repository.moves] == [first]


# --- uploads ---


def test_what_is_not_from_git_becomes_a_commit_of_the_channels_branch(cast, stage, api, repository):
    repository.records = True
    body = {"name": "notes", "team": "choir", "source": {"kind": "template", "name": "flask"}}
    assert api(cast.alice)("POST", "/sites", body).status_code == 202
    stage.play()
    first = repository.head("main")
    assert Channel.objects.get(site__name="notes").commit == first
    api(cast.alice)("POST", "/sites/notes/deploys", {"source": body["source"]})
    stage.play()
    assert repository.commits[repository.head("main")][0] == first


def test_a_branch_that_somebody_pushed_to_stays_where_it_is(cast, stage, api, guestbook, repository):
    repository.records = True
    mine = repository.commit("Mine")
    push(guestbook, cast.bob, MAIN, "", mine)
    stage.play()
    api(cast.alice)("POST", "/sites/guestbook/deploys", {"source": {"kind": "template", "name": "flask"}})
    stage.play()
    assert repository.head("main") == mine
    assert Release.objects.get(number=3).commit not in {"", mine}


def test_what_arrives_from_over_there_goes_on_wherever_the_branch_is(cast, stage, guestbook, repository):
    first, other = repository.commit("A first page"), repository.commit("Another page")
    one = arrived(guestbook, "main", first, why="Fetched", old="")
    stage.clock.advance(1)
    two = arrived(guestbook, "main", other, why="Fetched", old="")
    stage.play()
    assert [Operation.objects.get(id=each.id).state for each in (one, two)] == ["succeeded", "succeeded"]
    assert repository.head("main") == other
    assert arrived(guestbook, "elsewhere", first) is None
