from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.intake.completion import EXTENT_TOLERANCE_MM, CompletionTimes, Need, Verdict, judge
from her2node.ledger.records import Gathering, OpenAssociation, SeriesFacts

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


def after(seconds: float, gathering: Gathering, *needs: Need, clock: CompletionTimes = CLOCK) -> Verdict:
    return judge(gathering, needs, clock, START + seconds * SECOND)


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
)
CLOCKS = st.builds(CompletionTimes, *[st.integers(1, 4000).map(lambda seconds: seconds * SECOND)] * 3)


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_a_verdict_always_says_something_and_waits_for_a_time_or_a_peer(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    verdict = judge(gathering, needs, clock, now)
    assert verdict.sentence
    if verdict.until is None:
        assert verdict.complete or "is delivering" in verdict.sentence


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_a_complete_study_stays_complete_while_nothing_comes(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    if judge(gathering, needs, clock, now).complete:
        assert judge(gathering, needs, clock, now + 3600 * SECOND).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS)
def test_every_study_is_complete_in_the_end(gathering: Gathering, needs: list[Need], clock: CompletionTimes) -> None:
    at_rest = replace(gathering, delivering=(), filed_until=None)
    assert judge(at_rest, needs, clock, START + timedelta(days=1)).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_it_is_complete_when_the_time_it_names_has_come(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    filed = replace(gathering, filed_until=None)
    verdict = judge(filed, needs, clock, now)
    if verdict.until is not None:
        assert verdict.until > now
        assert judge(filed, needs, clock, verdict.until).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_an_association_that_delivers_is_always_waited_for(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    delivering = replace(gathering, delivering=(OpenAssociation("a1", "PACS", START),))
    assert not judge(delivering, needs, clock, now).complete


@settings(deadline=None)
@given(GATHERINGS, NEEDS, CLOCKS, TIMES)
def test_content_speaks_only_of_what_is_classified_unbroken_and_settled(
    gathering: Gathering, needs: list[Need], clock: CompletionTimes, now: datetime
) -> None:
    if judge(gathering, needs, clock, now).by == "content":
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
    assert judge(shuffled, needs[::-1], clock, now).by == judge(gathering, needs, clock, now).by
