"""`measure`: the quantities of a folder of DICOM files as a list that programs read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from her2node.dicom.codes import Code
from her2node.errors import Refused
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity
from her2node.reading import Reading


def files_of(folder: Path) -> list[Path]:
    """Every file below ``folder`` (or the file itself) in order of name; hidden files are left out."""
    if folder.is_file():
        return [folder]
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def as_list(reading: Reading) -> list[dict[str, Any]]:
    """One object a quantity, what was found in words and refusals in the same list.

    A row with ``value`` and a ``unit`` is a number. One with ``value`` and a ``unit`` of None is an evaluation, as the
    enhancement pattern: its ``value`` is a code (``value``, ``scheme``, ``meaning``) and its ``role`` None, for several
    series tell it together. One with ``refused`` has no ``value``, and a ``remedy`` where there is one.
    """
    return [
        *map(_quantity, reading.quantities),
        *map(_evaluation, reading.evaluations),
        *map(_refusal, reading.not_measured),
    ]


def _code(code: Code | None) -> dict[str, str] | None:
    return None if code is None else code.as_json()


def _quantity(quantity: Quantity) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "roi": quantity.roi,
        "role": None if quantity.role is None else quantity.role.value,
        "code": _code(quantity.code),
        "value": quantity.value,
        "unit": quantity.unit.value,
        "series_uids": list(quantity.series_uids),
    }
    for key, code in (("modifier", quantity.modifier), ("method", quantity.method)):
        if code is not None:
            shown[key] = _code(code)
    if quantity.phase:
        shown["phase"] = quantity.phase.value
    if quantity.flags:
        shown["flags"] = list(quantity.flags)
    if quantity.parameters:
        shown["parameters"] = list(quantity.parameters)
    return shown


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "roi": evaluation.roi,
        "role": None,
        "code": _code(evaluation.code),
        "value": _code(evaluation.value),
        "unit": None,
        "series_uids": list(evaluation.series_uids),
    }


def _refusal(refusal: NotMeasured) -> dict[str, Any]:
    return {
        "roi": refusal.roi,
        "role": None if refusal.role is None else refusal.role.value,
        "code": _code(refusal.code),
        **why(refusal.refused),
        "series_uids": list(refusal.series_uids),
    }


def unreadable(item: tuple[Path, Refused]) -> dict[str, Any]:
    """A file that could not be read, as a refusal in the list."""
    _, refused = item
    return {"roi": "", "role": None, "code": None, **why(refused), "series_uids": []}


def why(refused: Refused) -> dict[str, str]:
    """The reason and its sentence, and what helps where that is known."""
    remedy = {"remedy": refused.remedy} if refused.remedy else {}
    return {"refused": refused.reason, "detail": str(refused), **remedy}


def anything_measured(rows: Iterable[dict[str, Any]]) -> bool:
    return any("value" in row for row in rows)


def print_rows(rows: Iterable[dict[str, Any]], console: Console) -> None:
    """The quantities and evaluations as a table, the refusals below it."""
    table = Table("roi", "role", "quantity", "value", "unit", box=None)
    refusals = []
    for row in rows:
        if "refused" in row:
            remedy = f" (remedy: {row['remedy']})" if "remedy" in row else ""
            refusals.append(f"{row['roi'] or 'study'} {row['role'] or ''}: {row['detail']}{remedy}".strip())
            continue
        more = [row[key]["meaning"] for key in ("modifier", "method") if key in row]
        name = ", ".join([row["code"]["meaning"], *more])
        role = ", ".join(row[key] for key in ("role", "phase") if row.get(key))
        table.add_row(row["roi"], role or "-", name, *_value_and_unit(row))
    console.print(table)
    for line in refusals:
        console.print(f"not measured: {line}")


def _value_and_unit(row: dict[str, Any]) -> tuple[str, str]:
    if row["unit"] is None:
        return row["value"]["meaning"], "-"
    return f"{row['value']:.6g}", row["unit"]
