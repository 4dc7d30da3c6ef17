"""Every cell of the four tables."""

from __future__ import annotations

import ast
import inspect
from enum import StrEnum

import pytest

from her2node.errors import IllegalTransition
from her2node.ledger import states
from her2node.ledger.states import (
    DELIVERY,
    EDITION,
    INSTANCE,
    JOB,
    DeliveryEvent,
    DeliveryState,
    EditionEvent,
    EditionState,
    InstanceEvent,
    InstanceState,
    JobEvent,
    JobState,
    Machine,
)

MACHINES = [
    (EDITION, EditionState, EditionEvent),
    (INSTANCE, InstanceState, InstanceEvent),
    (JOB, JobState, JobEvent),
    (DELIVERY, DeliveryState, DeliveryEvent),
]

ALLOWED = {
    "edition": {
        "gathering complete due",
        "due claim reading",
        "reading give-back due",
        "reading read read",
        "reading refuse refused",
        "reading fail failed",
    },
    "instance": {
        "arrived file filed",
        "arrived repeat duplicate",
        "arrived recognise own",
        "arrived set-aside aside",
        "filed leave leaving",
        "duplicate leave leaving",
        "own leave leaving",
        "aside leave leaving",
    },
    "job": {
        "due claim claimed",
        "claimed retry due",
        "claimed expire due",
        "claimed finish done",
        "claimed give-up failed",
    },
    "delivery": {
        "held release due",
        "held expire expired",
        "withheld wake due",
        "withheld expire expired",
        "due claim sending",
        "due resend due",
        "due expire expired",
        "sending deliver sent",
        "sending refuse refused",
        "sending postpone due",
        "sending expire-lease due",
        "sent confirm confirmed",
        "sent miss due",
        "sent resend due",
        "confirmed resend due",
        "refused resend due",
        "expired resend due",
    },
}

CELLS = [
    pytest.param(machine, state, event, id=f"{machine.name}-{state}-{event}")
    for machine, of_state, of_event in MACHINES
    for state in of_state
    for event in of_event
]


@pytest.mark.parametrize(("machine", "state", "event"), CELLS)
def test_a_cell_leads_where_the_specification_says_or_is_illegal(
    machine: Machine[StrEnum, StrEnum], state: StrEnum, event: StrEnum
) -> None:
    targets = [line.split()[2] for line in ALLOWED[machine.name] if line.split()[:2] == [state, event]]
    if targets:
        assert machine.step(state, event) == targets[0]
    else:
        with pytest.raises(IllegalTransition, match=f"no {event} in {state}"):
            machine.step(state, event)


@pytest.mark.parametrize(("machine", "of_state", "of_event"), MACHINES)
def test_every_state_has_its_row_and_every_event_happens_somewhere(
    machine: Machine[StrEnum, StrEnum], of_state: type[StrEnum], of_event: type[StrEnum]
) -> None:
    assert set(machine.table) == set(of_state)
    assert all(machine.before(event) for event in of_event)


@pytest.mark.parametrize(("machine", "of_state", "of_event"), MACHINES)
def test_every_event_leads_to_one_state_so_that_one_guarded_update_can_write_it(
    machine: Machine[StrEnum, StrEnum], of_state: type[StrEnum], of_event: type[StrEnum]
) -> None:
    for event in of_event:
        assert {machine.step(state, event) for state in machine.before(event)} == {machine.after(event)}


def test_an_event_of_several_targets_has_no_single_one() -> None:
    two = Machine("two", {JobState.DUE: {JobEvent.CLAIM: JobState.DONE}, JobState.DONE: {JobEvent.CLAIM: JobState.DUE}})
    with pytest.raises(IllegalTransition, match="leads to 2 states"):
        two.after(JobEvent.CLAIM)


def test_every_member_of_every_enum_has_a_sentence() -> None:
    tree = ast.parse(inspect.getsource(states))
    enums = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith(("State", "Event"))]
    assert len(enums) == 8
    for enum in enums:
        for member, after in zip(enum.body[1:], [*enum.body[2:], None], strict=True):
            if isinstance(member, ast.Assign):
                assert isinstance(after, ast.Expr), f"{enum.name}.{ast.unparse(member)} has no sentence"
