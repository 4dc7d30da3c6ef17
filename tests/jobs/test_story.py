"""What the ledger keeps of a reading."""

from __future__ import annotations

import json
from dataclasses import replace

from her2node.errors import ModalityAbsent, RoleMissing
from her2node.jobs.story import summary_of
from her2node.models.prediction import Flag, NotPredicted, Segmented
from tests.reports.test_wording import BESIDE, OTHER, SURE, package, reading


def test_flags_are_counted_by_their_kind() -> None:
    twice = (Flag("age", "age is not known"), Flag("kernel", "kernel (portal) is not known"), Flag("age", "age 12"))
    found = reading(predictions=(SURE, replace(OTHER, flags=twice)), observations=(BESIDE,))
    assert summary_of(found, 1, 1, {})["flags"] == {"age": 3, "kernel": 1}


def test_of_every_package_that_answered_the_kinds_of_flags_are_kept_each_once() -> None:
    twice = (Flag("kernel", "kernel (portal) is not known"), Flag("age", "age is not known"), Flag("age", "age 12"))
    refused = NotPredicted(package("x"), RoleMissing("portal"))
    found = reading(predictions=(SURE,), observations=(BESIDE,), shadows=(replace(OTHER, flags=twice), refused))
    assert summary_of(found, 1, 1, {})["flagged"] == {
        "adc@1.0.0": ["age"],
        "mtv@1.0.0": [],
        "suv@1.0.0": ["age", "kernel"],
    }


def test_who_drew_the_region_is_told_and_its_flags_are_counted() -> None:
    by = Segmented(package("bright"), (Flag("slice-thickness", "slice thickness (portal) is 5"),))
    summary = summary_of(reading(segmented=by), 1, 1, {})
    assert summary["drawn_by"] == "bright@1.0.0"
    assert summary["flags"] == {"slice-thickness": 1}
    assert summary_of(reading(), 1, 1, {})["drawn_by"] is None


def test_shadows_are_kept_apart_from_estimates_and_all_of_it_is_json() -> None:
    refused = NotPredicted(package("x"), RoleMissing("portal"))
    summary = summary_of(reading(predictions=(SURE,), shadows=(OTHER, BESIDE, refused)), 1, 1, {})
    assert [one["package"] for one in summary["estimates"]] == ["adc@1.0.0"]
    assert [one["package"] for one in summary["shadows"]] == ["suv@1.0.0", "mtv@1.0.0", "x@1.0.0"]
    assert summary["shadows"][0]["answers"][0]["probability"] == 0.04
    assert summary["estimates"][0]["answers"][0]["interval"] == (0.21, 0.44)
    assert json.loads(json.dumps(summary))["shadows"][2]["refused"] == "role-missing"


def test_the_reason_is_never_that_a_package_is_for_other_studies_when_there_is_another() -> None:
    absent, missing = ModalityAbsent("MR"), RoleMissing("portal")
    both = tuple(NotPredicted(package("p"), refused) for refused in (absent, missing))
    assert str(missing) in summary_of(reading(not_predicted=both), 1, 1, {})["reason"]
    assert str(absent) in summary_of(reading(not_predicted=both[:1]), 1, 1, {})["reason"]
