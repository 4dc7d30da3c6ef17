"""Typed, tolerant reading of DICOM attributes.

Absent, empty and unparsable values of optional attributes come back as None or an empty string, never as an
invented default; ``needed_*`` raises ``MissingAttribute`` or ``InvalidAttribute``, which name the keyword.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from her2node.errors import InvalidAttribute, MissingAttribute


def _value(ds: Dataset, keyword: str) -> Any:
    """The raw value, or None when absent, empty or undecodable (a bad VR raises deep inside pydicom)."""
    try:
        value = ds.get(keyword)
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        NotImplementedError,
        RecursionError,
        OverflowError,
    ):
        return None
    return None if value is None or value == "" else value


def text(ds: Dataset, keyword: str) -> str:
    """The value as text, stripped; several values are joined with a backslash as on the wire; '' when absent."""
    value = _value(ds, keyword)
    if value is None:
        return ""
    if isinstance(value, (MultiValue, list, tuple)):
        return "\\".join(str(item).strip() for item in value)
    return str(value).strip(" \x00")


def texts(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """All values as text; () when absent."""
    value = text(ds, keyword)
    return tuple(value.split("\\")) if value else ()


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite floats; () when absent or when any of them is no finite number."""
    value = _value(ds, keyword)
    if value is None:
        return ()
    return finite(value if isinstance(value, (MultiValue, list, tuple)) else (value,))


def finite(values: Sequence[Any]) -> tuple[float, ...]:
    """The values as floats; () when any of them is no finite number."""
    try:
        found = tuple(float(value) for value in values)
    except (ValueError, TypeError, OverflowError):
        return ()
    return found if all(math.isfinite(number) for number in found) else ()


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value as a finite float, or None."""
    found = numbers(ds, keyword)
    return found[0] if found else None


def integer(ds: Dataset, keyword: str) -> int | None:
    """The first value as an integer, or None when absent or not whole."""
    found = number(ds, keyword)
    return int(found) if found is not None and found == int(found) else None


def needed_numbers(ds: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """``numbers`` of exactly ``count`` values, or MissingAttribute / InvalidAttribute."""
    if _value(ds, keyword) is None:
        raise MissingAttribute(keyword)
    found = numbers(ds, keyword)
    if len(found) != count:
        raise InvalidAttribute(f"{keyword} holds {text(ds, keyword)!r}, {count} finite numbers expected")
    return found


def needed_integer(ds: Dataset, keyword: str) -> int:
    """``integer``, or MissingAttribute / InvalidAttribute."""
    if _value(ds, keyword) is None:
        raise MissingAttribute(keyword)
    found = integer(ds, keyword)
    if found is None:
        raise InvalidAttribute(f"{keyword} holds {text(ds, keyword)!r}, a whole number expected")
    return found


def items(ds: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """The items of a sequence; () when absent, empty or no sequence."""
    value = _value(ds, keyword)
    if value is None or isinstance(value, (str, bytes)):
        return ()
    try:
        return tuple(item for item in value if isinstance(item, Dataset))
    except TypeError:
        return ()


def moment(ds: Dataset, date_keyword: str, time_keyword: str) -> datetime | None:
    """A date and time attribute pair as a zoned datetime (TimezoneOffsetFromUTC, else UTC), or None."""
    day, clock = _date(text(ds, date_keyword)), _time(text(ds, time_keyword))
    if day is None:
        return None
    return datetime.combine(day, clock or time(), tzinfo=_zone(text(ds, "TimezoneOffsetFromUTC")))


def timestamp(ds: Dataset, keyword: str) -> datetime | None:
    """A DT attribute as a zoned datetime; see ``moment_of``."""
    return moment_of(text(ds, keyword), ds)


def moment_of(value: str, ds: Dataset) -> datetime | None:
    """A DT value (PS3.5 6.2) as a zoned datetime: its own offset, else that of the object ``ds``; None without a time
    of day, for a day alone is no moment."""
    whole = re.match(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)([+-]\d{4})?\s*$", value.strip(" \x00"))
    if whole is None:
        return None
    day, clock = _date(whole[1]), _time(whole[2])
    if day is None or clock is None:
        return None
    return datetime.combine(day, clock, tzinfo=_zone(whole[3] or text(ds, "TimezoneOffsetFromUTC")))


def _zone(offset: str) -> timezone:
    if len(offset) == 5 and offset[0] in "+-" and offset[1:].isdigit():
        span = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
        if span < timedelta(hours=24):
            return timezone(-span if offset[0] == "-" else span)
    return UTC


def _date(value: str) -> date | None:
    digits = value.replace(".", "").replace("-", "")[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _time(value: str) -> time | None:
    digits = value.replace(":", "")
    whole, _, fraction = digits.partition(".")
    try:
        hour = int(whole[:2])
        minute = int(whole[2:4] or 0)
        second = min(int(whole[4:6] or 0), 59)  # DICOM allows 60 for a leap second, Python does not
        return time(hour, minute, second, int((fraction + "000000")[:6]) if fraction else 0)
    except ValueError:
        return None
