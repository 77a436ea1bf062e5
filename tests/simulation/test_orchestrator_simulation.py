"""Whatever happens in whatever order, the real planner and loop converge and keep their promises."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sitewright.domain.processes import ProcessScale
from sitewright.domain.states import InstanceState, Power, check_transition
from sitewright.orchestrator import steps
from sitewright.testing.orchestra import CHANNEL_ID, Machine, channel, release

BACKOFF_AND_MORE_SECONDS = 1100


RESULTS = {
    steps.Evacuate: InstanceState.EVACUATING,
    steps.MarkReady: InstanceState.READY,
    steps.Stop: InstanceState.STOPPING,
    steps.Remove: InstanceState.GONE,
}


def only_legal_changes(step):
    """What the planner asks for is in the table of states; telling again what was told already is no change."""
    result = RESULTS.get(type(step))
    if result is not None and not (result is InstanceState.STOPPING and step.instance.unattended):
        check_transition(step.instance.state, result)


class Life(RuleBasedStateMachine):
    """One channel's life: deploys, crashes, scaling, lost and repeated messages, a dying orchestrator."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="sw-sim-")
        self.machine = Machine(Path(self.folder.name))
        self.number = 1
        self.floor = 0
        self.alive = True
        self.said = channel(1, release(1), ProcessScale("web", 1))
        self.sent = [self.said]

    def do(self, work):
        return self.runner.run(work)

    @initialize()
    def boot(self):
        self.machine.on_step = only_legal_changes
        self.do(self.machine.boot())
        self.do(self.machine.put(self.said))
        self.calm(10)

    def calm(self, turns):
        if self.alive:
            for _ in range(turns):
                self.turn(0.3)

    # --- what the manager says ---
    def say(self, *, arrives=True, **changes):
        self.said = replace(self.said, generation=self.said.generation + 1, **changes)
        self.sent.append(self.said)
        if arrives and self.alive:
            self.do(self.machine.put(self.said))
        else:
            self.floor = 0

    @rule(deaf=st.booleans(), arrives=st.booleans(), turns=st.integers(0, 20))
    def deploy(self, deaf, arrives, turns):
        self.number += 1
        if deaf:
            self.machine.deaf.add(f"release{self.number}")
        self.say(arrives=arrives, release=release(self.number))
        self.calm(turns)

    @rule(value=st.sampled_from(["red", "blue"]), turns=st.integers(0, 20))
    def change_environment(self, value, turns):
        self.say(env=(("COLOUR", value),))
        self.calm(turns)

    @rule()
    def ask_for_restart(self):
        self.say(restart=self.said.restart + 1)

    @rule(count=st.integers(1, 4))
    def scale(self, count):
        self.floor = 0
        self.say(scale=(ProcessScale("web", count),))

    @rule(power=st.sampled_from(Power))
    def switch(self, power):
        self.floor = 0
        self.say(power=power)

    @rule(data=st.data())
    @precondition(lambda self: self.alive)
    def an_old_message_comes_late_or_again(self, data):
        self.do(self.machine.put(data.draw(st.sampled_from(self.sent))))

    # --- what the machine does ---
    @rule()
    def an_instance_crashes(self):
        self.floor = 0
        for instance in self.machine.instances()[:1]:
            self.machine.engine.crash(instance)

    @rule(times=st.integers(2, 8))
    @precondition(lambda self: self.alive)
    def it_crashes_again_and_again(self, times):
        for _ in range(times):
            self.an_instance_crashes()
            self.turn(1.0)

    @rule(cut_off=st.booleans())
    @precondition(lambda self: self.alive)
    def the_orchestrator_dies(self, cut_off):
        if cut_off:
            self.do(self.machine.orchestrator.turn())
        self.do(self.machine.kill())
        self.alive = False

    @rule()
    @precondition(lambda self: not self.alive)
    def the_orchestrator_comes_back(self):
        self.do(self.machine.boot())
        self.alive = True

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 7.0, 70.0, 400.0]))
    @precondition(lambda self: self.alive)
    def time_passes(self, seconds):
        self.machine.clock.advance(seconds)
        self.calm(4)

    @rule()
    @precondition(lambda self: self.alive)
    def an_hour_passes(self):
        for _ in range(60):
            self.turn(30.0)

    def turn(self, seconds):
        machine = self.machine
        patience = {crash.digest: crash.not_before for crash in machine.orchestrator.tools.memories.of(CHANNEL_ID).crashes.values()}
        before = set(machine.world.held)
        self.do(machine.turn(seconds))
        for instance in set(machine.world.held) - before:
            held = machine.world.held[instance]
            assert held.started_at >= patience.get(held.spec.digest, 0.0), "started before its back-off was over"
        assert machine.routed() >= self.floor, "a healthy rollout took capacity away"
        self.floor = min(machine.routed(), self.said.scale_of("web").count) if self.said.power is Power.ON else 0

    @invariant()
    def what_is_routed_runs(self):
        route = self.machine.routes.table.get(CHANNEL_ID)
        if route is not None and self.alive:
            held = {h.spec.socket for h in self.machine.world.held.values()}
            assert set(route.sockets) <= held

    def teardown(self):
        try:
            if hasattr(self.machine, "orchestrator"):
                self.everything_comes_to_rest()
        finally:
            self.runner.close()
            self.folder.cleanup()

    def everything_comes_to_rest(self):
        machine = self.machine
        if not self.alive:
            self.do(machine.boot())
        machine.deaf.clear()
        self.do(machine.put(self.said))
        self.do(machine.settle(BACKOFF_AND_MORE_SECONDS, step=5.0))
        state = self.do(machine.orchestrator.actual(CHANNEL_ID))
        count = self.said.scale_of("web").count if self.said.power is Power.ON else 0
        assert (state.applied, state.problem) == (self.said.generation, "")
        assert (len(machine.world.held), machine.routed()) == (count, count)
        assert len({h.spec.digest for h in machine.world.held.values()}) <= 1
        assert all(h.spec.release_id == f"release{self.number}" for h in machine.world.held.values())
        self.do(machine.kill())


Life.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestLife = Life.TestCase
