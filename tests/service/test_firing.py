from __future__ import annotations

import json

from her2node.service.firing import Firing, firing


def summary(**flagged: list[str]) -> str:
    return json.dumps({"flagged": flagged})


def test_a_rate_is_of_the_studies_that_the_package_answered_and_a_kind_counts_once_in_each() -> None:
    told = [summary(a=["age", "kernel"], b=[]), summary(a=["age", "age"]), summary(a=[]), summary(b=[])]
    assert firing(told) == (Firing("a", 3, {"age": 2, "kernel": 1}), Firing("b", 2, {}))
    assert [str(one) for one in firing(told)] == [
        "a answered 3, flagged: age 2 (67 %), kernel 1 (33 %)",
        "b answered 2, flagged: none",
    ]


def test_readings_of_which_nothing_of_the_kind_was_kept_count_for_nothing() -> None:
    assert firing(["{}", json.dumps({"reason": "nothing could run"})]) == ()
