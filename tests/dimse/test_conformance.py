from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from her2node.dicom.uids import IMPLEMENTATION_CLASS_UID
from her2node.dimse import reception as on_the_wire
from her2node.dimse.conformance import ANSWERS, BEHAVIOUR, REJECTIONS, Facts, name_of, ranges_of, statement
from her2node.dimse.contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, accepted_contexts
from her2node.dimse.probe import OUTPUT_CLASSES, OUTPUT_SYNTAXES
from her2node.dimse.queries import QUERIES, instances_of, series_of, study_of
from her2node.dimse.reception import Rejection
from her2node.dimse.requestor import Outgoing
from her2node.dimse.status import Outcome, Status, outcome
from her2node.reports import envelope
from her2node.settings import Delivery, ObjectKind, Reception
from tests.delivery.objects import SR, write_object


@pytest.fixture
def text() -> str:
    return statement(Facts("1.2.3", Reception(), Delivery()))


def test_every_class_and_syntax_that_the_acceptor_takes_is_stated(text: str) -> None:
    for context in accepted_contexts():
        assert f"| {context.abstract_syntax} " in text
        assert {str(syntax) for syntax in context.transfer_syntax} == {str(syntax) for syntax in TRANSFER_SYNTAXES}
    acceptance = text[text.index("### 2.4") :]
    for uid in (*STORAGE_CLASSES, *TRANSFER_SYNTAXES):
        assert f"| {name_of(uid)} | {uid} |" in acceptance
    assert acceptance.count("1.2.840.10008.5.1.4.1.1.") == len(STORAGE_CLASSES)


def test_every_uid_has_a_name(text: str) -> None:
    rows = [line.split(" | ") for line in text.splitlines() if "1.2.840.10008" in line and line.startswith("| ")]
    assert [row for row in rows if row[0].removeprefix("| ").startswith("1.2.")] == []


def test_what_is_sent_is_what_the_reports_are(text: str) -> None:
    written = {kind.value: item.sop_class_uid for kind, item in envelope._KINDS.items()}
    assert {kind: str(uid) for kind, uid in OUTPUT_CLASSES.items()} == written
    assert set(OUTPUT_CLASSES) == set(get_args(ObjectKind))
    initiation = text[text.index("### 2.3") : text.index("### 2.4")]
    for uid in OUTPUT_CLASSES.values():
        assert uid in initiation


def test_what_is_proposed_is_what_is_stated(tmp_path: Path) -> None:
    file = Outgoing.of(write_object(tmp_path, SR))
    assert tuple(need.transfer_syntax_uid for need in file.needs) == OUTPUT_SYNTAXES


def test_what_is_asked_for_is_what_is_stated(text: str) -> None:
    queries = (instances_of("1.2", "1.2.3", ["1.2.3.4"]), series_of("1.2"), study_of("1.2"))
    assert [query.QueryRetrieveLevel for query in queries] == list(QUERIES)
    for query in queries:
        stated = next(line for line in text.splitlines() if line.startswith(f"| {query.QueryRetrieveLevel} |"))
        keywords = {item.keyword for item in query} - {"QueryRetrieveLevel"}
        assert set(stated.split(" | ")[1].removesuffix(" |").split(", ")) == keywords


def test_every_answer_and_every_rejection_is_stated(text: str) -> None:
    assert set(ANSWERS) == set(Status)
    known = {item for item in vars(on_the_wire).values() if isinstance(item, Rejection)}
    assert set(REJECTIONS) == known
    for status in Status:
        assert f"| 0x{status:04X} |" in text


def test_the_stated_ranges_are_what_the_code_decides(text: str) -> None:
    assert set(BEHAVIOUR) == set(Outcome)
    for kind in Outcome:
        codes = [code for first, last in ranges_of(kind) for code in range(first, last + 1)]
        assert codes == [code for code in range(0x10000) if outcome(code) is kind]
    assert "0xA700-0xA7FF" in text
    assert "0xB000-0xBFFF" in text


def test_the_settings_in_force_are_stated() -> None:
    reception = Reception.model_validate(
        {
            "ae_title": "OTHER",
            "port": 104,
            "allow_ae_titles": ["PACS"],
            "tls": {"port": 2762, "client_certificate_required": False},
        }
    )
    text = statement(Facts("9.9", reception, Delivery(confirm=False)))
    assert "| AE title | OTHER |" in text
    assert "port 104 (TCP) and port 2762 (TLS)" in text
    assert "Calling AE titles accepted: PACS" in text
    assert "client certificates accepted" in text
    assert "Switched off in the settings" in text
    assert "Version 9.9" in text
    assert IMPLEMENTATION_CLASS_UID in text


def test_the_headings_follow_the_standard(text: str) -> None:
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## 1 Overview",
        "## 2 Networking",
        "## 3 Media interchange",
        "## 4 Character sets",
        "## 5 Security",
        "## 6 Annexes",
    ]


def test_every_table_is_whole(text: str) -> None:
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1
