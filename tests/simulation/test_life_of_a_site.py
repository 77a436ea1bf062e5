"""Whatever happens in whatever order: deploys, trials, sleep, visitors, cron, crashes, clock jumps, a planner that dies at any step.

The real planner, loop, stores and wake answers; engine, routes and clock are memory. See `Life.everything_comes_to_rest` for what must
hold in the end, and `Vigil` for what must hold at every single step.
"""

import asyncio
import os
import tempfile
from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sitewright.domain.desired import Canary, Strategy
from sitewright.domain.processes import Listen, ProcessScale, ProcessSpec, Schedule
from sitewright.domain.route import SLOTS, Presence
from sitewright.domain.sleep import ALWAYS_ON, SleepPolicy, SleepStage
from sitewright.domain.states import Power
from sitewright.domain.traffic import HostTraffic
from sitewright.orchestrator.trial import copies
from sitewright.orchestrator.wake import CLIENT_SECONDS, Wakes
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release
from sitewright.testing.vigil import KilledError, Vigil

HOST = "guestbook.localhost"
POLICY = SleepPolicy(freeze_after_seconds=60, stop_after_seconds=300)
BACKOFF_AND_MORE_SECONDS = 1100
PROCESSES = (
    ProcessSpec("web", "serve", Listen.FD),
    ProcessSpec("worker", "work"),
    ProcessSpec("cron-tidy", "tidy", schedule=Schedule("*/10 * * * *")),
)


class Life(RuleBasedStateMachine):
    """One site's life on one machine."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="sw-life-")
        self.machine = Machine(Path(self.folder.name))
        self.watch = Vigil(self.machine, POLICY.freeze_after_seconds)
        self.machine.on_step = self.watch.step
        self.number = 1
        self.floor = 0
        self.alive = False
        self.sent = []
        scale = (ProcessScale("web", 2), ProcessScale("worker", 1))
        self.said = replace(channel(1, release(1, *PROCESSES), *scale), sleep=POLICY)

    def do(self, work):
        return self.runner.run(work)

    @initialize()
    def first_deploy(self):
        self.boot()
        self.say()
        self.calm(10)

    def boot(self):
        self.do(self.machine.boot())
        self.machine.orchestrator.applier.prepared.low = lambda: False
        engine, watch = self.machine.engine, self.watch
        start = engine.start

        async def started(spec):
            watch.burn()
            fresh = spec.id not in engine.world.held
            await start(spec)
            if fresh and spec.id in engine.world.held:
                watch.started(spec)
            watch.burn()

        engine.start = started
        self.alive = True
        self.floor = 0

    def die(self):
        self.do(self.machine.kill())
        self.alive = False
        self.watch.fuse = None

    def attempt(self, work):
        """Do it, unless the planner dies in it."""
        try:
            return self.do(work)
        except KilledError:
            self.die()
            return None

    # --- what people say ---
    def say(self, *, arrives=True, **changes):
        self.said = replace(self.said, generation=self.said.generation + 1, **changes)
        self.sent.append(self.said)
        if arrives and self.alive:
            self.do(self.machine.put(self.said))
        else:
            self.floor = 0

    @rule(deaf=st.booleans(), arrives=st.booleans(), strategy=st.sampled_from(Strategy), turns=st.integers(0, 20))
    def deploy(self, deaf, arrives, strategy, turns):
        self.number += 1
        if deaf:
            self.machine.deaf.add(f"release{self.number}")
        self.say(arrives=arrives, release=release(self.number, *PROCESSES), strategy=strategy, canary=None)
        self.calm(turns)

    @rule(deaf=st.booleans(), slots=st.integers(1, 15), turns=st.integers(0, 20))
    def try_a_release(self, deaf, slots, turns):
        self.number += 1
        if deaf:
            self.machine.deaf.add(f"release{self.number}")
        self.say(canary=Canary(release(self.number, *PROCESSES), slots))
        self.calm(turns)

    @rule(promote=st.booleans(), turns=st.integers(0, 20))
    @precondition(lambda self: self.said.canary is not None)
    def end_the_trial(self, promote, turns):
        self.say(release=self.said.canary.release if promote else self.said.release, canary=None)
        self.calm(turns)

    @rule(value=st.sampled_from(["red", "blue"]))
    def change_environment(self, value):
        self.say(env=(("COLOUR", value),))

    @rule()
    def ask_for_restart(self):
        self.say(restart=self.said.restart + 1)

    @rule(web=st.integers(1, 5), worker=st.integers(0, 2), surge=st.integers(0, 2), turns=st.integers(0, 20))
    def scale(self, web, worker, surge, turns):
        self.floor = 0
        self.say(scale=(ProcessScale("web", web), ProcessScale("worker", worker)), max_surge=surge)
        self.calm(turns)

    @rule(power=st.sampled_from(Power))
    def switch(self, power):
        self.floor = 0
        self.say(power=power)

    @rule(policy=st.sampled_from([ALWAYS_ON, POLICY, SleepPolicy(0, 300), SleepPolicy(60, 0)]))
    def change_the_sleep(self, policy):
        self.say(sleep=policy)

    @rule(data=st.data())
    @precondition(lambda self: self.alive)
    def an_old_message_comes_late_or_again(self, data):
        self.do(self.machine.put(data.draw(st.sampled_from(self.sent))))

    # --- what visitors do ---
    @rule()
    @precondition(lambda self: self.alive)
    def somebody_visits(self):
        route = self.machine.routes.table.get(CHANNEL_ID)
        if route is None:
            return
        self.watch.last_visit = self.machine.clock.steady()
        if route.sockets:
            self.machine.orchestrator.note_traffic([HostTraffic(HOST, self.machine.clock.now(), 1)])
        elif route.presence is Presence.ASLEEP:
            healthy = self.said.release.id not in self.machine.deaf and self.said.power is Power.ON
            asked = self.do(self.ask(many=3))
            if self.alive and healthy and asked is not None:
                self.calm(20)

    async def ask(self, many):
        """Several at once ask the wake server; the loop goes round until all are answered, or the planner dies."""
        wakes = Wakes(self.machine.orchestrator)
        asked = [asyncio.create_task(wakes.wait(HOST, CLIENT_SECONDS)) for _ in range(many)]
        try:
            for _ in range(60):
                self.watch.last_visit = self.machine.clock.steady()
                await self.machine.turn(0.3)
                if all(one.done() for one in asked):
                    break
            answers = {one.result() for one in asked if one.done()}
            if self.said.release.id not in self.machine.deaf and self.said.power is Power.ON and len(answers) == 1:
                assert answers <= {HTTPStatus.NO_CONTENT, HTTPStatus.FORBIDDEN}
                if answers == {HTTPStatus.NO_CONTENT}:
                    assert self.machine.routed(), "somebody was sent to nobody"
            return answers
        except KilledError:
            self.alive = False
            await self.machine.kill()
            return None
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await wakes.close()

    @rule()
    def somebody_stays_connected(self):
        for instance in self.routed_ids()[:1]:
            self.machine.connected[instance] = 1
            self.watch.last_visit = self.machine.clock.steady()
            if self.alive:
                self.machine.orchestrator.note_traffic([HostTraffic(HOST, self.machine.clock.now(), 1)])

    @rule()
    def everybody_leaves(self):
        if self.machine.connected:
            self.machine.connected.clear()
            self.watch.last_visit = max(self.watch.last_visit, self.machine.clock.steady() - POLICY.freeze_after_seconds)

    def routed_ids(self):
        route = self.machine.routes.table.get(CHANNEL_ID)
        sockets = set(route.sockets) if route else set()
        return [i for i, held in sorted(self.machine.world.held.items()) if held.spec.socket in sockets and held.exit is None]

    # --- what the machine does ---
    @rule(process=st.sampled_from(["web", "worker"]))
    def an_instance_crashes(self, process):
        self.floor = 0
        for instance in self.machine.instances(process)[:1]:
            self.machine.engine.crash(instance)

    @rule(code=st.integers(0, 1))
    def a_run_ends(self, code):
        for instance in self.machine.instances("cron-tidy"):
            self.machine.engine.crash(instance, code)

    @rule(after=st.integers(0, 12), turns=st.integers(1, 10))
    @precondition(lambda self: self.alive)
    def the_planner_dies_at_some_step(self, after, turns):
        self.watch.fuse = after
        self.calm(turns)
        if self.alive:
            self.die()

    @rule()
    @precondition(lambda self: self.alive)
    def the_planner_dies_with_work_in_the_background(self):
        self.attempt(self.machine.orchestrator.turn())
        if self.alive:
            self.die()

    @rule()
    @precondition(lambda self: not self.alive)
    def the_planner_comes_back(self):
        self.boot()

    @rule()
    def the_machine_loses_power(self):
        """Nothing that ran is left; what was on disk is."""
        if self.alive:
            self.die()
        self.floor = 0
        self.machine.world.held.clear()
        self.machine.connected.clear()
        self.machine.routes.table.clear()

    @rule(seconds=st.sampled_from([-86_400 * 3, -3600.0, -70.0, 70.0, 3600.0, 86_400.0 * 3]))
    def the_clock_jumps(self, seconds):
        self.machine.clock.jump(seconds)
        self.calm(2)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 7.0, 70.0, 400.0]), turns=st.integers(1, 6))
    def time_passes(self, seconds, turns):
        self.machine.clock.advance(seconds)
        self.calm(turns)

    @rule()
    def some_minutes_pass(self):
        for _ in range(30):
            self.turn(15.0)

    # --- the loop ---
    def calm(self, turns):
        for _ in range(turns):
            self.turn(0.3)

    def turn(self, seconds):
        machine = self.machine
        assert not self.watch.wrong, self.watch.wrong
        if not self.alive:
            machine.clock.advance(seconds)
            return
        self.attempt(machine.turn(seconds))
        if not self.alive:
            return
        asleep = machine.orchestrator.tools.memories.of(CHANNEL_ID).sleep.stage is not SleepStage.AWAKE
        assert asleep or machine.routed() >= self.floor, "a healthy rollout took capacity away"
        usual = self.said.power is Power.ON and not asleep
        self.floor = min(machine.routed(), self.said.scale_of("web").count - (1 if self.said.max_surge == 0 else 0)) if usual else 0

    @invariant()
    def what_is_routed_runs(self):
        route = self.machine.routes.table.get(CHANNEL_ID)
        if route is not None and self.alive:
            assert len(route.sockets) in (0, SLOTS)
            assert set(route.sockets) <= {h.spec.socket for h in self.machine.world.held.values()}

    @invariant()
    def what_is_made_ahead_is_known_and_no_instance(self):
        machine = self.machine
        assert not machine.world.prepared.keys() & machine.world.held.keys()
        if self.alive:
            assert len(machine.world.prepared) == len(machine.orchestrator.applier.prepared) <= 1

    def teardown(self):
        try:
            self.everything_comes_to_rest()
        finally:
            self.runner.close()
            self.folder.cleanup()

    def everything_comes_to_rest(self):
        machine = self.machine
        if not self.alive:
            self.boot()
        machine.deaf.clear()
        machine.connected.clear()
        self.watch.fuse = None
        self.watch.last_visit = -1e9
        assert not self.watch.wrong, self.watch.wrong
        self.do(machine.put(self.said))
        self.do(machine.settle(BACKOFF_AND_MORE_SECONDS, step=5.0))
        if self.said.sleep.sleeps and self.said.canary is None and self.said.power is Power.ON:
            self.it_sleeps_and_wakes()
        self.it_is_as_it_was_told()
        assert not self.watch.wrong, self.watch.wrong
        self.do(machine.kill())

    def it_sleeps_and_wakes(self):
        state = self.do(self.machine.orchestrator.actual(CHANNEL_ID))
        policy = self.said.sleep
        left = len(self.machine.instances("web")), len(self.machine.instances("worker"))
        wanted = self.said.scale_of("web").count, self.said.scale_of("worker").count
        frozen = state.sleep == "frozen" and left == wanted and not policy.stop_after_seconds
        stopped = state.sleep == "stopped" and left == (0, 0)
        assert frozen or stopped, f"{state.sleep} with {left}"
        assert len(self.machine.world.prepared) == (1 if stopped and not frozen else 0)
        assert self.do(self.ask(many=50)) == {HTTPStatus.NO_CONTENT}
        self.do(self.machine.settle(20, step=0.5))

    def it_is_as_it_was_told(self):
        machine = self.machine
        state = self.do(machine.orchestrator.actual(CHANNEL_ID))
        assert (state.applied, state.problem) == (self.said.generation, "")
        on = self.said.power is Power.ON
        web, worker = (self.said.scale_of(name).count if on else 0 for name in ("web", "worker"))
        tried = 0
        if self.said.canary is not None and on and state.canary is not None and state.canary.state != "aborted":
            tried = copies(self.said, self.said.canary)
        slots = self.said.canary.slots if tried else 0
        assert len(machine.instances("web")) == web + tried
        assert machine.routed() == min(web, SLOTS - slots) + min(tried, slots), "a slot's share is too small for some"
        assert len(machine.instances("worker")) == worker
        assert len(machine.instances("cron-tidy")) <= (1 if on else 0)
        known = {"web", "worker", "cron-tidy"}
        assert {h.spec.process for h in machine.world.held.values()} <= known, "an orphan is left"
        assert not any(h.frozen for h in machine.world.held.values())
        assert not machine.world.prepared, "made ahead for a site that is awake"
        releases = Counter(h.spec.release_id for h in machine.world.held.values() if h.spec.process == "web")
        expected = Counter({self.said.release.id: web}) + Counter({self.said.canary.release.id: tried} if tried else {})
        assert releases == expected


Life.TestCase.settings = settings(
    max_examples=int(os.environ.get("EXAMPLES", "50")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestLife = Life.TestCase
