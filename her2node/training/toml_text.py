"""TOML as packages are written in, of plain values; the standard library only reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Any


def toml(content: Mapping[str, Any]) -> str:
    """TOML of strings, numbers, truths, lists, tables and lists of tables; None and what is empty are left out."""
    plain = {key: _plain(value) for key, value in content.items()}
    kept = {key: value for key, value in plain.items() if value not in (None, "", [], {})}
    lines = [f"{key} = {inline(value)}" for key, value in kept.items() if not _is_table(value)]
    for key, value in kept.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", *_pairs(value)]
        elif _is_table(value):
            for item in value:
                lines += ["", f"[[{key}]]", *_pairs(item)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {inline(value)}" for key, value in table.items() if value not in (None, "", [], {})]


def inline(value: Any) -> str:
    """A value as it stands behind a key of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(_pairs(value)) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # TOML wants one sign more escaped than JSON does
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _plain(value: Any) -> Any:
    """Dataclasses, enumerations and tuples as what TOML knows; in tables, what is empty is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        plain = {str(key): _plain(item) for key, item in value.items()}
        return {key: item for key, item in plain.items() if item not in (None, "", [], {})}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value
