"""What `read` prints and hands to programs: no estimate without what it rests on."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from her2node.errors import NoReference
from her2node.quantities.quantity import NotMeasured
from her2node.reading import Reading
from her2node.reports import wording
from her2node.selection.study import group
from her2node.service.folders import Written
from tests.reports.making import not_run, open_lee
from tests.selection.headers import instance


def written() -> Written:
    """An estimate that depends on two values that nobody entered; the first answer has an interval."""
    lee = open_lee(None)
    first = replace(lee.answers[0], interval=(0.0218, 0.1079))
    predictions = (replace(lee, answers=(first, *lee.answers[1:])),)
    study = group([instance("1.2.3.1")])
    return Written(Reading(study, (), (), (), None, (), (), predictions, (not_run(),)), ())


def printed(told: Written) -> list[str]:
    lines = io.StringIO()
    told.print(Console(file=lines, width=80, highlight=False, markup=False, soft_wrap=True))
    return lines.getvalue().splitlines()


def test_an_estimate_is_printed_with_what_was_assumed_its_interval_its_prior_and_the_notice() -> None:
    lines = printed(written())
    (estimate,) = (line for line in lines if "if portal_hyperattenuation = 0, liver_metastasis = 0" in line)
    assert "probability 0.0493 (95 % interval 0.0218 to 0.1079)" in estimate
    assert "if portal_hyperattenuation = 1, liver_metastasis = 1: HER2 positivity likely" in estimate
    text = "\n".join(lines)
    assert wording.NOTICE in text
    assert wording.REFERENCE_TEST in text
    assert "prior probability 0.1768 (cohort of the publication)" in text
    assert text.index(wording.NOTICE) < text.index("probability 0.0493")


def test_a_refusal_is_printed_once() -> None:
    assert sum("lee2017-portal-liver 1.0.0 did not run" in line for line in printed(written())) == 1


def test_what_helps_against_a_refusal_is_printed_once_and_handed_to_programs() -> None:
    refused = NoReference("no region is the aorta", remedy="outline the aorta and label it so")
    told = written()
    (package,) = told.reading.not_predicted
    reading = replace(
        told.reading,
        not_predicted=(replace(package, refused=refused),),
        not_measured=(NotMeasured("", None, refused), NotMeasured("", None, refused)),
    )
    told = replace(told, reading=reading)
    assert printed(told).count("remedy for no-reference: outline the aorta and label it so") == 1
    (package_row,) = told.as_json()["not_predicted"]
    assert package_row["remedy"] == "outline the aorta and label it so"


def test_programs_get_what_every_answer_assumes_the_prior_and_the_notice() -> None:
    told = written().as_json()
    assert told["notices"] == [wording.NOTICE, wording.REFERENCE_TEST]
    (estimate,) = told["estimates"]
    assert (estimate["prior"], estimate["prior_source"]) == (32 / 181, "cohort of the publication")
    assert estimate["answers"][3]["inputs"] == {
        "portal_hyperattenuation": {"value": 1.0, "source": "assumed"},
        "liver_metastasis": {"value": 1.0, "source": "assumed"},
    }
