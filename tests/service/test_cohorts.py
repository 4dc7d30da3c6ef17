"""A cohort from the node's own ledger: what it received, with what readers entered there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.errors import CohortRefused
from her2node.jobs import filing
from her2node.jobs.door import Door
from her2node.phantoms import PhantomOptions, Phase
from her2node.selection.study import open_study
from her2node.service.cohorts import Query, sources
from her2node.settings import Settings
from her2node.training.cohort import Row
from her2node.training.labels import Tissue
from tests.jobs.made import START, House, new_house

OPTIONS = PhantomOptions(phases=(Phase.PORTAL,), rows=64, columns=64, slices=2)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return new_house(tmp_path)


def settings_of(house: House) -> Settings:
    return Settings(state_dir=house.folder)


def received(house: House, seed: int, *, complete: bool = True) -> str:
    """The UID of a study that the node received, and whose edition was closed."""
    study = phantoms.ct.make(PhantomOptions(**{**vars(OPTIONS), "seed": seed}))
    house.receive(list(study.datasets))
    filing.file_arrivals(house.ledger, house.spool, Door(), house.now)
    uid = study.study_instance_uid
    if complete:
        (facts,) = (one for one in house.ledger.gathering() if one.study_instance_uid == uid)
        house.ledger.complete(facts.edition_id, "quiet", "", house.now)
    return uid


def rows(*studies: str) -> list[Row]:
    return [Row(study, Tissue(3, None)) for study in studies]


def test_studies_of_the_ledger_are_those_that_the_table_names_and_that_are_complete(house: House) -> None:
    first, second = received(house, 1), received(house, 2)
    gathering = received(house, 3, complete=False)
    found = sources(settings_of(house), Query(), rows(first, gathering, "1.2.3"))
    assert set(found) == {first} != {second}
    assert open_study(found[first].files).study_instance_uid == first


def test_what_readers_entered_in_the_node_goes_with_the_study(house: House) -> None:
    uid = received(house, 1)
    series = open_study(sources(settings_of(house), Query(), rows(uid))[uid].files).series[0].series_instance_uid
    house.ledger.enter_all(uid, {"glucose_mg_dl": "120", f"role:{series}": "plain"}, house.now)
    (facts,) = house.ledger.gathering()
    house.ledger.complete(facts.edition_id, "quiet", "", house.now)
    found = sources(settings_of(house), Query(), rows(uid))[uid]
    assert found.entered == {"glucose_mg_dl": "120"}
    assert found.roles == {series: "plain"}


@pytest.mark.parametrize(
    ("query", "there"),
    [
        (Query(since=START.date()), True),
        (Query(until=START.date()), True),
        (Query(since=date(2026, 3, 2)), False),
        (Query(until=date(2026, 2, 28)), False),
    ],
)
def test_days_of_arrival_narrow_it(house: House, query: Query, there: bool) -> None:
    uid = received(house, 1)
    if there:
        assert set(sources(settings_of(house), query, rows(uid))) == {uid}
    else:
        with pytest.raises(CohortRefused, match="none of the studies"):
            sources(settings_of(house), query, rows(uid))
