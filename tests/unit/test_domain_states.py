"""States and transitions: what the tables allow, and that nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitewright.domain.states import (
    FINAL_OPERATION_STATES,
    ROLE_ORDER,
    TABLES,
    IllegalTransitionError,
    InstanceState,
    OperationState,
    Role,
    StepState,
    at_least,
    check_transition,
)

EVERY_PAIR = [(old, new) for enum in TABLES for old in enum for new in enum]


@given(st.sampled_from(EVERY_PAIR))
def test_a_transition_is_allowed_exactly_when_the_table_has_it(pair):
    old, new = pair
    if new in TABLES[type(old)][old]:
        check_transition(old, new)
    else:
        with pytest.raises(IllegalTransitionError, match=str(new)):
            check_transition(old, new)


@pytest.mark.parametrize("enum", list(TABLES))
def test_every_state_has_a_row_and_leads_only_to_states_of_its_own_kind(enum):
    assert set(TABLES[enum]) == set(enum)
    assert all(isinstance(new, enum) for row in TABLES[enum].values() for new in row)


@pytest.mark.parametrize("enum", list(TABLES))
def test_every_state_can_be_reached_from_the_first(enum):
    first = next(iter(enum))
    reached, edge = {first}, [first]
    while edge:
        for new in TABLES[enum][edge.pop()] - reached:
            reached.add(new)
            edge.append(new)
    assert reached == set(enum)


def test_states_of_two_things_are_never_a_transition():
    with pytest.raises(TypeError):
        check_transition(OperationState.RUNNING, InstanceState.READY)
    with pytest.raises(TypeError):
        check_transition(Role.OWNER, Role.VIEWER)


def test_what_is_over_only_begins_again_by_a_retry():
    for state in FINAL_OPERATION_STATES:
        assert TABLES[OperationState][state] <= {OperationState.QUEUED}


def test_a_finished_step_is_never_done_again():
    assert TABLES[StepState][StepState.DONE] == frozenset()


@given(st.sampled_from(ROLE_ORDER), st.sampled_from(ROLE_ORDER))
def test_a_role_may_do_what_weaker_ones_may(role, needed):
    assert at_least(role, needed) == (ROLE_ORDER.index(role) >= ROLE_ORDER.index(needed))
