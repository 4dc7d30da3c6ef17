from __future__ import annotations

from her2node.ledger.records import SpoolPlace
from tests.ledger.way import MINUTE, SECOND, Way, slices


def test_a_new_series_wants_classifying_with_all_its_objects(way: Way) -> None:
    association = way.send(slices(2))
    way.file()
    (series,) = way.ledger.unclassified(10)
    assert series.series_instance_uid == "1.2.3.1"
    assert series.places == (SpoolPlace(association, 1), SpoolPlace(association, 2))
    assert series.entered_roles == {}


def test_a_classified_series_rests_until_it_changes(way: Way) -> None:
    way.gather(slices(2))
    (series,) = way.ledger.unclassified(10)
    way.ledger.classify(series.series_id, "portal", ["its description says so"], (-10.0, 90.5), None, series.revision)
    assert way.ledger.unclassified(10) == ()
    (facts,) = way.ledger.gathering()[0].series
    assert (facts.role, facts.extent, facts.instances, facts.classified) == ("portal", (-10.0, 90.5), 2, True)
    way.gather(slices(1, first=3))
    assert len(way.ledger.unclassified(10)[0].places) == 3
    assert way.ledger.gathering()[0].unclassified == 1


def test_a_series_that_changed_meanwhile_stays_unclassified(way: Way) -> None:
    way.gather(slices(2))
    (series,) = way.ledger.unclassified(10)
    way.gather(slices(1, first=3))
    way.ledger.classify(series.series_id, "portal", [], None, None, series.revision)
    (again,) = way.ledger.unclassified(10)
    assert again.revision > series.revision


def test_an_older_word_never_replaces_a_newer_one(way: Way) -> None:
    way.gather(slices(2))
    (old,) = way.ledger.unclassified(10)
    way.gather(slices(1, first=3))
    (new,) = way.ledger.unclassified(10)
    way.ledger.classify(new.series_id, "portal", ["new"], None, None, new.revision)
    way.ledger.classify(old.series_id, "plain", ["old"], None, None, old.revision)
    (series,) = way.ledger.study("1.2.3").series
    assert (series.role, series.evidence, series.classified) == ("portal", ("new",), True)


def test_an_entered_role_wants_its_series_classified_again(way: Way) -> None:
    way.gather([*slices(1), *slices(1, series="1.2.3.2")])
    for series in way.ledger.unclassified(10):
        way.ledger.classify(series.series_id, None, [], None, None, series.revision)
    way.ledger.enter("1.2.3", "role:1.2.3.2", "portal", way.now)
    (again,) = way.ledger.unclassified(10)
    assert (again.series_instance_uid, again.entered_roles) == ("1.2.3.2", {"1.2.3.2": "portal"})


def test_a_series_that_is_just_arriving_can_be_left_out(way: Way) -> None:
    way.gather(slices(1))
    way.later(MINUTE)
    way.gather(slices(1, series="1.2.3.2"))
    found = way.ledger.unclassified(10, unchanged_since=way.now - SECOND)
    assert [item.series_instance_uid for item in found] == ["1.2.3.1"]


def test_a_refused_series_says_why(way: Way) -> None:
    way.gather(slices(1))
    (series,) = way.ledger.unclassified(1)
    way.ledger.classify(series.series_id, "portal", [], None, "gantry-tilt", series.revision)
    assert way.ledger.gathering()[0].series[0].refused == "gantry-tilt"
