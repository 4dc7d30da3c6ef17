from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.intake.completion import EXTENT_TOLERANCE_MM, CompletionTimes, Need, Verdict, judge
from her2node.ledger.records import Census, Gathering, OpenAssociation, SeriesCount, SeriesFacts

START = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CLOCK = CompletionTimes(settle=5 * SECOND, quiet=60 * SECOND, patience=3600 * SECOND)

PORTAL = Need("lee2017-portal-liver", "CT", frozenset({"portal"}), roi=True)
TWO_PHASES = Need("two-phases", "CT", frozenset({"arterial", "portal"}))
UPTAKE = Need("uptake", "PT", frozenset({"pet"}))

REGION = SeriesFacts("1.9", "SEG", "roi", None, None, 1)


def ct(role: str | None, low: float = 0.0, high: float = 400.0, refused: str | None = None) -> SeriesFacts:
    return SeriesFacts(f"1.{role}", "CT", role, (low, high), refused, 80)


def facts(*series: SeriesFacts, last: timedelta = timedelta(0), **other: object) -> Gathering:
    gathering = Gathering(1, "1.2.3", 1, START, START + last, series)
    return replace(gathering, **other)


def after(
    seconds: float,
    gathering: Gathering,
    *needs: Need,
    clock: CompletionTimes = CLOCK,
    counting: tuple[str, ...] = (),
) -> Verdict:
    return judge(gathering, needs, clock, START + seconds * SECOND, counting)


# --- by content --------------------------------------------------------------------------------------------


def test_a_study_with_every_role_is_complete_when_it_has_settled() -> None:
    gathering = facts(ct("portal"), REGION)
    assert not after(4.9, gathering, PORTAL).complete
    verdict = after(5, gathering, PORTAL)
    assert (verdict.by, verdict.sentence) == ("content", "lee2017-portal-liver: every role that is needed is here")


def test_before_it_settles_it_says_until_when() -> None:
    verdict = after(1, facts(ct("portal"), REGION), PORTAL)
    assert verdict.until == START + 5 * SECOND
    assert verdict.sentence == "everything is here, waits whether more comes; until 2026-03-01 08:00:05 UTC"


def test_a_missing_role_is_waited_for_by_name() -> None:
    verdict = after(30, facts(ct("arterial"), REGION), PORTAL, TWO_PHASES)
    assert verdict.by is None
    assert verdict.until == START + 60 * SECOND
    assert verdict.sentence == (
        "waits for the portal series (lee2017-portal-liver, two-phases); until 2026-03-01 08:01:00 UTC"
    )


def test_a_missing_region_is_waited_for_only_where_a_package_needs_one() -> None:
    assert "a region of interest (lee2017-portal-liver)" in after(6, facts(ct("portal")), PORTAL).sentence
    assert after(6, facts(ct("portal")), replace(PORTAL, roi=False)).by == "content"


def test_a_refused_series_plays_no_role() -> None:
    gathering = facts(ct("portal", refused="missing-slices"), REGION)
    assert "the portal series" in after(6, gathering, PORTAL).sentence
    refused_region = facts(ct("portal"), replace(REGION, refused="roi-unreadable"))
    assert "a region" in after(6, refused_region, PORTAL).sentence


def test_packages_whose_modality_is_absent_do_not_count() -> None:
    assert after(6, facts(ct("portal"), REGION), PORTAL, UPTAKE).by == "content"
    with_pet = facts(ct("portal"), REGION, SeriesFacts("1.8", "PT", None, None, None, 200))
    assert "the pet series (uptake)" in after(6, with_pet, PORTAL, UPTAKE).sentence


def test_a_role_of_another_modality_does_not_count() -> None:
    gathering = facts(ct("arterial"), SeriesFacts("1.7", "MR", "portal", None, None, 80), REGION)
    assert "the portal series" in after(6, gathering, PORTAL).sentence


def test_without_a_package_that_accepts_it_content_never_speaks() -> None:
    assert after(6, facts(REGION), PORTAL).by is None
    assert after(6, facts(ct("portal"))).by is None
    assert after(60, facts(REGION), PORTAL).by == "quiet"


def test_an_unclassified_series_holds_content_back_but_not_quiet() -> None:
    gathering = facts(ct("portal"), REGION, replace(ct(None), classified=False))
    assert "not classified yet: 1" in after(6, gathering, PORTAL).sentence
    assert after(60, gathering, PORTAL).by == "quiet"


def test_an_aborted_association_holds_content_back_but_not_quiet() -> None:
    gathering = facts(ct("portal"), REGION, aborted=("a1",))
    assert "broke off and sent nothing again: 1" in after(6, gathering, PORTAL).sentence
    assert after(60, gathering, PORTAL).by == "quiet"


@pytest.mark.parametrize(
    ("high", "complete"), [(400 + EXTENT_TOLERANCE_MM, True), (400 - EXTENT_TOLERANCE_MM - 1, False)]
)
def test_phases_must_cover_the_same_extent_within_the_tolerance(high: float, complete: bool) -> None:
    verdict = after(6, facts(ct("arterial"), ct("portal", high=high)), TWO_PHASES)
    assert verdict.complete is complete
    assert complete or "arterial 0 to 400 mm, portal 0 to 389 mm" in verdict.sentence


def test_the_extent_of_a_phase_that_nobody_needs_does_not_matter() -> None:
    assert after(6, facts(ct("arterial"), ct("portal"), ct("plain", high=90)), TWO_PHASES).by == "content"


def test_several_series_of_one_role_cover_their_extent_together() -> None:
    halves = [ct("portal", 0, 200), replace(ct("portal", 195, 400), series_instance_uid="1.x")]
    assert after(6, facts(ct("arterial"), *halves), TWO_PHASES).by == "content"


def test_a_series_of_unknown_extent_says_nothing_against_the_others() -> None:
    gathering = facts(ct("arterial"), replace(ct("portal"), extent=None))
    assert after(6, gathering, TWO_PHASES).by == "content"


# --- by the sender's own count -----------------------------------------------------------------------------

ANSWERED = START + 6 * SECOND


def census(*series: SeriesCount, objects: int | None = None, **other: object) -> Census:
    return replace(Census(ANSWERED, series, objects), **other)


def sent(*series: SeriesFacts, told: Census | None = None, **other: object) -> Gathering:
    """From a peer that counts, which answered ``told``."""
    return facts(*series, sender_ae="PACS", census=told, **other)


def counted(gathering: Gathering, *needs: Need, at: float = 10) -> Verdict:
    return after(at, gathering, *(needs or (PORTAL,)), counting=("PACS",))


PORTAL_80 = SeriesCount("1.portal", "CT", 80)


def test_a_series_is_waited_for_until_as_many_objects_are_here_as_the_sender_has() -> None:
    told = census(replace(PORTAL_80, objects=120))
    verdict = counted(sent(ct("portal"), REGION, told=told))
    assert verdict.by is None
    assert verdict.sentence == ("PACS has 120 objects of series 1.portal, 80 are here; until 2026-03-01 08:01:00 UTC")


def test_when_they_are_here_the_study_is_complete_by_content_and_the_evidence_says_the_number() -> None:
    verdict = counted(sent(ct("portal"), ct("plain"), REGION, told=census(PORTAL_80, SeriesCount("1.plain", "CT", 80))))
    assert verdict.by == "content"
    assert verdict.sentence == (
        "lee2017-portal-liver: every role that is needed is here; PACS has 160 objects in 2 series, all are here"
    )


def test_a_series_that_the_sender_has_and_of_which_nothing_came_is_waited_for() -> None:
    told = census(PORTAL_80, SeriesCount("1.late", "CT", 40))
    assert "PACS has 40 objects of series 1.late, 0 are here" in counted(sent(ct("portal"), REGION, told=told)).sentence


def test_a_modality_that_a_package_accepts_is_waited_for_although_nothing_of_it_came() -> None:
    told = census(PORTAL_80, SeriesCount("1.8", "PT", 200))
    gathering = sent(ct("portal"), REGION, told=told)
    assert counted(gathering, PORTAL).by == "content"
    assert "PACS has 200 objects of series 1.8, 0 are here" in counted(gathering, PORTAL, UPTAKE).sentence


@pytest.mark.parametrize("modality", ["SR", "PR", "OT", "SEG", "KO"])
def test_what_no_package_accepts_is_not_counted(modality: str) -> None:
    told = census(PORTAL_80, SeriesCount("1.7", modality, 5))
    assert counted(sent(ct("portal"), REGION, told=told)).by == "content"


def test_the_results_of_the_node_are_not_counted_whatever_their_modality() -> None:
    told = census(PORTAL_80, SeriesCount("1.own", "CT", 3))
    gathering = sent(ct("portal"), REGION, told=told)
    assert counted(gathering).by is None
    assert counted(replace(gathering, own_series={"1.own": 3})).by == "content"


def test_more_here_than_the_sender_has_is_enough() -> None:
    assert counted(sent(ct("portal"), REGION, told=census(replace(PORTAL_80, objects=79)))).by == "content"


def test_a_series_without_modality_counts_when_it_is_known_by_its_uid() -> None:
    nameless = census(PORTAL_80, SeriesCount("1.x", "", 5))
    assert counted(sent(ct("portal"), REGION, told=nameless)).by == "content"
    known = census(SeriesCount("1.portal", "", 120))
    assert "80 are here" in counted(sent(ct("portal"), REGION, told=known)).sentence


def test_the_extent_rule_does_not_apply_where_the_sender_counts() -> None:
    uneven = sent(ct("arterial"), ct("portal", high=200), told=census(PORTAL_80, SeriesCount("1.arterial", "CT", 80)))
    assert after(10, uneven, TWO_PHASES).by is None
    assert counted(uneven, TWO_PHASES).by == "content"


def test_content_waits_for_the_answer_and_says_until_when() -> None:
    verdict = counted(sent(ct("portal"), REGION))
    assert (verdict.by, verdict.until) == (None, START + 60 * SECOND)
    assert verdict.sentence == "waits for PACS to say how many objects it has; until 2026-03-01 08:01:00 UTC"


def test_an_answer_from_before_the_last_object_is_none() -> None:
    told = census(PORTAL_80)
    assert counted(sent(ct("portal"), REGION, told=told, last=6 * SECOND), at=12).by == "content"
    later = sent(ct("portal"), REGION, told=told, last=7 * SECOND)
    assert "waits for PACS to say" in counted(later, at=12).sentence


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (census(silence="The peer does not accept this SOP class: C-FIND"), "PACS was asked in vain"),
        (census(silence="The peer cannot be reached", again_at=ANSWERED + 5 * SECOND), "(The peer cannot be reached)"),
        (census(), "PACS shows no series of CT in this study"),
        (census(replace(PORTAL_80, objects=None)), "PACS gives no number of objects for 1 series"),
    ],
)
def test_without_numbers_the_extent_rule_decides_and_the_evidence_says_so(told: Census, why: str) -> None:
    verdict = counted(sent(ct("arterial"), ct("portal"), told=told), TWO_PHASES)
    assert verdict.by == "content"
    assert why in verdict.sentence
    assert verdict.sentence.endswith("the phases' extents decided instead")
    uneven = sent(ct("arterial"), ct("portal", high=200), told=told)
    assert "different extents" in counted(uneven, TWO_PHASES).sentence


@pytest.mark.parametrize(("objects", "complete"), [(85, True), (86, False)])
def test_the_number_of_the_study_decides_where_the_series_have_none(objects: int, complete: bool) -> None:
    """80 images and a segmentation are here, 3 objects of the node and one more are at the PACS with them."""
    told = census(
        replace(PORTAL_80, objects=None),
        SeriesCount("1.9", "SEG", None),
        SeriesCount("1.own", "SR", None),
        SeriesCount("1.dose", "SR", 1),
        objects=objects,
    )
    verdict = counted(sent(ct("portal"), REGION, told=told, own_series={"1.own": 3}))
    assert verdict.complete is complete
    assert (f"PACS has {objects} objects of the study, {'all' if complete else 84} are here") in verdict.sentence


def test_quiet_and_patience_end_the_waiting_for_what_the_sender_never_routes() -> None:
    short = sent(ct("portal"), REGION, told=census(replace(PORTAL_80, objects=120)))
    verdict = counted(short, at=60)
    assert verdict.by == "quiet"
    assert verdict.sentence.endswith("PACS has 120 objects of series 1.portal, 80 are here")
    assert counted(replace(short, last_at=START + 3599 * SECOND), at=3600).by == "patience"
    assert counted(sent(ct("portal"), REGION), at=60).by == "quiet", "nor does a question without answer"


def test_a_sender_that_is_not_asked_is_not_waited_for() -> None:
    told = census(replace(PORTAL_80, objects=120))
    assert after(10, sent(ct("portal"), REGION, told=told), PORTAL, counting=("ARCHIVE",)).by == "content"


# --- by quiet and patience ---------------------------------------------------------------------------------


def test_a_study_is_complete_by_quiet_whatever_is_missing() -> None:
    gathering = facts(ct("plain"), last=10 * SECOND)
    assert after(69.9, gathering, PORTAL).by is None
    verdict = after(70, gathering, PORTAL)
    assert verdict.by == "quiet"
    assert verdict.sentence.startswith("nothing came for 60 s; waits for the portal series")


def test_patience_ends_even_where_objects_keep_dribbling_in() -> None:
    gathering = facts(ct("plain"), last=3590 * SECOND)
    assert after(3599, gathering, PORTAL).until == START + 3600 * SECOND
    assert after(3600, gathering, PORTAL).by == "patience"


def test_content_speaks_before_quiet() -> None:
    assert after(1000, facts(ct("portal"), REGION), PORTAL).by == "content"


# --- while an association delivers -------------------------------------------------------------------------


def test_nothing_is_complete_while_an_association_is_delivering() -> None:
    gathering = facts(ct("portal"), REGION, delivering=(OpenAssociation("a1", "PACS", START),))
    verdict = after(100_000, gathering, PORTAL)
    assert (verdict.by, verdict.until) == (None, None)
    assert verdict.sentence == "an association from PACS is delivering"


def test_an_association_that_went_on_to_other_studies_delivers_until_it_was_quiet_for_this_one() -> None:
    moved_on = OpenAssociation("a1", "ROUTER", START, moved_on=True)
    gathering = facts(ct("portal"), REGION, delivering=(moved_on,))
    assert not after(59, gathering, PORTAL).complete
    assert after(60, gathering, PORTAL).complete


# --- while filing lags behind ------------------------------------------------------------------------------


def test_time_runs_only_as_far_as_arrivals_are_filed() -> None:
    gathering = facts(ct("plain"), filed_until=START + 30 * SECOND)
    verdict = after(7200, gathering, PORTAL)
    assert verdict.by is None
    assert verdict.sentence.endswith("until what arrived before is filed")
    assert after(7200, replace(gathering, filed_until=START + 60 * SECOND), PORTAL).by == "quiet"


# --- whatever the facts ------------------------------------------------------------------------------------

COUNTING = ("PACS",)
ROLES = st.sampled_from([None, "plain", "arterial", "portal", "equilibrium", "roi"])
SPANS = st.tuples(st.floats(-500, 0), st.floats(1, 500))
SERIES = st.builds(
    SeriesFacts,
    st.sampled_from(["1.1", "1.2", "1.3"]),
    st.sampled_from(["CT", "MR", "PT", "SEG"]),
    ROLES,
    st.none() | SPANS,
    st.none() | st.just("gantry-tilt"),
    st.integers(1, 3000),
    st.booleans(),
)
NEEDS = st.lists(
    st.builds(
        Need,
        st.sampled_from(["p1", "p2"]),
        st.sampled_from(["CT", "MR", "PT"]),
        st.frozensets(st.sampled_from(["plain", "arterial", "portal"]), max_size=3),
        st.booleans(),
    ),
    max_size=3,
)
TIMES = st.integers(0, 5000).map(lambda seconds: START + seconds * SECOND)
OPEN = st.builds(OpenAssociation, st.just("a1"), st.just("PACS"), TIMES, st.booleans())
COUNTS = st.builds(
    SeriesCount,
    st.sampled_from(["1.1", "1.2", "1.4"]),
    st.sampled_from(["CT", "SR", ""]),
    st.none() | st.integers(0, 3000),
)
CENSUSES = st.builds(
    Census,
    TIMES,
    st.lists(COUNTS, max_size=3, unique_by=lambda item: item.series_instance_uid).map(tuple),
    st.none() | st.integers(0, 9000),
    st.sampled_from(["", "The peer cannot be reached"]),
)
GATHERINGS = st.builds(
    Gathering,
    st.just(1),
    st.just("1.2.3"),
    st.integers(1, 3),
    st.just(START),
    TIMES,
    st.lists(SERIES, max_size=4).map(tuple),
    st.lists(OPEN, max_size=1).map(tuple),
    st.sampled_from([(), ("a2",)]),
    st.none() | TIMES,
    sender_ae=st.sampled_from(["PACS", "SCANNER"]),
    census=st.none() | CENSUSES,
    own_series=st.sampled_from([{}, {"1.4": 2}]),
)
CLOCKS = st.builds(CompletionTimes, *[st.integers(1, 4000).map(lambda seconds: seconds * SECOND)] * 3)


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_a_verdict_always_says_something_and_waits_for_a_time_or_a_peer(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    verdict = judge(gathering, needs, clock, now, COUNTING)
    assert verdict.sentence
    if verdict.until is None:
        assert verdict.complete or "is delivering" in verdict.sentence


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_a_complete_study_stays_complete_while_nothing_comes(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    if judge(gathering, needs, clock, now, COUNTING).complete:
        assert judge(gathering, needs, clock, now + 3600 * SECOND, COUNTING).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS)
def test_every_study_is_complete_in_the_end(gathering: Gathering, needs: list[Need], clock: CompletionTimes) -> None:
    at_rest = replace(gathering, delivering=(), filed_until=None)
    assert judge(at_rest, needs, clock, START + timedelta(days=1), COUNTING).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_it_is_complete_when_the_time_it_names_has_come(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    filed = replace(gathering, filed_until=None)
    verdict = judge(filed, needs, clock, now, COUNTING)
    if verdict.until is not None:
        assert verdict.until > now
        assert judge(filed, needs, clock, verdict.until, COUNTING).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_an_association_that_delivers_is_always_waited_for(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    delivering = replace(gathering, delivering=(OpenAssociation("a1", "PACS", START),))
    assert not judge(delivering, needs, clock, now, COUNTING).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_content_speaks_only_of_what_is_classified_unbroken_and_settled(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    if judge(gathering, needs, clock, now, COUNTING).by == "content":
        assert gathering.unclassified == 0
        assert gathering.aborted == ()
        assert now >= gathering.last_at + clock.settle
        assert any(need.modality in gathering.modalities for need in needs)


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_the_order_of_series_and_needs_does_not_matter(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    shuffled = replace(gathering, series=tuple(reversed(gathering.series)))
    assert judge(shuffled, needs[::-1], clock, now, COUNTING).by == judge(gathering, needs, clock, now, COUNTING).by


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_a_sender_that_counts_changes_nothing_but_completion_by_content(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    """Quiet and patience come when they come without it."""
    with_count, without = judge(gathering, needs, clock, now, COUNTING), judge(gathering, needs, clock, now)
    if with_count.by != without.by:
        assert "content" in {with_count.by, without.by}


def test_a_series_that_packs_two_phases_plays_both() -> None:
    both = replace(ct(None), role="arterial + portal")
    assert both.roles == ("arterial", "portal")
    assert after(5, facts(both, REGION), PORTAL, TWO_PHASES).by == "content"
    refused = replace(both, refused="missing-slices")
    assert "the arterial series" in after(6, facts(refused, REGION), TWO_PHASES).sentence


def test_a_packed_series_covers_what_it_packs_in_each_phase() -> None:
    both, short = replace(ct(None), role="arterial + portal"), ct("portal", 0.0, 100.0)
    assert "different extents" not in after(6, facts(both, short), TWO_PHASES).sentence, "together they reach as far"
    plain = Need("three", "CT", frozenset({"plain", "arterial", "portal"}))
    assert "different extents" in after(6, facts(both, ct("plain", 0.0, 100.0)), plain).sentence
