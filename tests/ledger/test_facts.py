from __future__ import annotations

from tests.ledger.way import MINUTE, SECOND, START, Way, slices


def test_facts_tell_when_the_first_and_the_last_object_came(way: Way) -> None:
    association = way.open()
    way.store(association, slices(1))
    way.later(3 * SECOND)
    way.store(association, slices(1, first=2))
    way.later(MINUTE)
    way.file()
    (facts,) = way.ledger.gathering()
    assert (facts.first_at, facts.last_at) == (START, START + 3 * SECOND)
    assert facts.modalities == {"CT"}


def test_an_open_association_delivers_until_it_ends(way: Way) -> None:
    association = way.open("SCANNER")
    way.store(association, slices(1))
    way.file()
    (open_,) = way.ledger.gathering()[0].delivering
    assert (open_.calling_ae, open_.last_at, open_.moved_on) == ("SCANNER", START, False)
    way.end(association)
    assert way.ledger.gathering()[0].delivering == ()


def test_an_association_that_went_on_to_another_study_has_moved_on(way: Way) -> None:
    association = way.open()
    way.store(association, slices(2, study="1.1"))
    way.later(SECOND)
    way.store(association, slices(2, study="1.2"))
    way.file()
    moved_on = {facts.study_instance_uid: facts.delivering[0].moved_on for facts in way.ledger.gathering()}
    assert moved_on == {"1.1": True, "1.2": False}


def test_an_association_of_an_earlier_edition_still_delivers(way: Way) -> None:
    association = way.open()
    way.store(association, slices(1))
    way.file()
    way.ledger.complete(way.ledger.gathering()[0].edition_id, "command", "", way.now)
    way.ledger.enter("1.2.3", "a", "1", way.now)
    assert [item.association_id for item in way.ledger.gathering()[0].delivering] == [association]


def test_an_aborted_association_counts_until_its_series_is_sent_again(way: Way) -> None:
    broken = way.open()
    way.store(broken, slices(2))
    way.end(broken, "aborted")
    way.file()
    assert way.ledger.gathering()[0].aborted == (broken,)
    way.later(SECOND)
    way.send(slices(3, series="1.2.3.2"))
    way.file()
    assert way.ledger.gathering()[0].aborted == (broken,), "another series is no repetition"
    way.later(SECOND)
    way.send(slices(4))
    effect = way.file()
    assert (effect.duplicates, effect.filed) == (2, 2)
    assert way.ledger.gathering()[0].aborted == ()


def test_a_repetition_that_breaks_off_too_repairs_nothing(way: Way) -> None:
    way.send(slices(2), how="aborted")
    way.later(SECOND)
    way.send(slices(3), how="aborted")
    way.file()
    assert len(way.ledger.gathering()[0].aborted) == 2


def test_an_association_that_ran_beside_the_aborted_one_is_no_repetition(way: Way) -> None:
    beside, broken = way.open(), way.open()
    way.store(beside, slices(2))
    way.store(broken, slices(2, first=3))
    way.later(SECOND)
    way.store(broken, slices(2, first=5))
    way.end(broken, "aborted")
    way.end(beside, "released")
    way.file()
    assert way.ledger.gathering()[0].aborted == (broken,)


def test_duplicates_move_the_last_time_of_a_gathering_edition(way: Way) -> None:
    way.gather(slices(2))
    way.later(MINUTE)
    way.send(slices(2))
    way.file()
    assert way.ledger.gathering()[0].last_at == START + MINUTE


def test_an_entered_value_counts_as_something_that_came(way: Way) -> None:
    way.complete()
    way.ledger.enter("1.2.3", "a", "1", way.later(MINUTE))
    (facts,) = way.ledger.gathering()
    assert (facts.first_at, facts.last_at, facts.entered) == (START + MINUTE, START + MINUTE, {"a": "1"})


def test_facts_say_how_far_arrivals_are_filed(way: Way) -> None:
    way.gather(slices(1))
    assert way.ledger.gathering()[0].filed_until is None
    way.later(MINUTE)
    way.send(slices(1, study="1.9"))
    assert way.ledger.gathering()[0].filed_until == START + MINUTE


def test_a_later_edition_has_all_series_but_only_its_own_associations(way: Way) -> None:
    way.send(slices(2), how="aborted")
    way.file()
    way.ledger.complete(way.ledger.gathering()[0].edition_id, "quiet", "", way.now)
    way.later(MINUTE)
    way.gather(slices(1, series="1.2.3.2"))
    (facts,) = way.ledger.gathering()
    assert [item.series_instance_uid for item in facts.series] == ["1.2.3.1", "1.2.3.2"]
    assert (facts.aborted, facts.first_at) == ((), START + MINUTE)


def test_a_complete_study_gathers_no_more(way: Way) -> None:
    way.complete()
    assert way.ledger.gathering() == ()


def test_what_is_waited_for_can_be_noted_until_the_edition_is_complete(way: Way) -> None:
    edition_id = way.gather(slices(1))
    assert way.ledger.studies()[0].reason == "objects still come"
    way.ledger.note_waiting(edition_id, "waits for the portal series")
    assert way.ledger.studies()[0].reason == "waits for the portal series"
    way.ledger.complete(edition_id, "quiet", "nothing came for 60 s", way.now)
    way.ledger.note_waiting(edition_id, "waits for the portal series")
    assert way.ledger.studies()[0].reason == "complete by quiet (nothing came for 60 s), waits for a worker"
