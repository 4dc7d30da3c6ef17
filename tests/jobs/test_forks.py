"""No child is born while another thread is inside."""

from __future__ import annotations

import os
import threading

from her2node.jobs.forks import ForkGate
from tests.jobs.made import until


def _inside(gate: ForkGate, entered: threading.Event, leave: threading.Event) -> None:
    with gate.held_off():
        entered.set()
        leave.wait(10)


def test_a_fork_waits_until_every_other_thread_is_outside() -> None:
    gate, entered, leave, forked = ForkGate(), threading.Event(), threading.Event(), threading.Event()
    worker = threading.Thread(target=_inside, args=(gate, entered, leave))
    worker.start()
    entered.wait(10)

    def fork() -> None:
        gate.before_fork()
        forked.set()
        gate.after_fork_in_parent()

    forking = threading.Thread(target=fork)
    forking.start()
    assert not forked.wait(0.1)
    leave.set()
    assert forked.wait(10)
    for thread in (worker, forking):
        thread.join(10)


def test_nobody_enters_while_a_child_is_born() -> None:
    gate, entered, leave = ForkGate(), threading.Event(), threading.Event()
    leave.set()
    gate.before_fork()
    worker = threading.Thread(target=_inside, args=(gate, entered, leave))
    worker.start()
    assert not entered.wait(0.1)
    gate.after_fork_in_parent()
    assert entered.wait(10)
    worker.join(10)


def test_a_thread_that_is_inside_may_enter_again_though_a_fork_waits() -> None:
    gate, entered, leave, done = ForkGate(), threading.Event(), threading.Event(), threading.Event()

    def nested() -> None:
        with gate.held_off():
            entered.set()
            leave.wait(10)
            with gate.held_off():
                done.set()

    worker = threading.Thread(target=nested)
    worker.start()
    entered.wait(10)
    forking = threading.Thread(target=lambda: (gate.before_fork(), gate.after_fork_in_parent()))
    forking.start()
    until(lambda: gate._waiting, 10, "the fork to wait")
    leave.set()
    assert done.wait(10)
    for thread in (worker, forking):
        thread.join(10)


def test_a_child_begins_with_an_open_gate_of_its_own() -> None:
    gate = ForkGate()
    gate.before_fork()
    child = os.fork()
    if child == 0:
        gate.after_fork_in_child()
        with gate.held_off():
            os._exit(7)
    gate.after_fork_in_parent()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with gate.held_off():
        pass
