"""From declarations to package folders: package.toml, CARD.md, cases.json and the graph."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from her2node.models.building import logistic_graph, pin, threshold_graph, write_package
from her2node.models.literature.card import card
from her2node.models.literature.declared import Declared
from her2node.models.literature.forms import FORMS
from her2node.models.literature.published import PUBLISHED
from her2node.models.literature.studies import table
from her2node.models.manifest import Manifest, Scalar
from her2node.models.package import SHIPPED

DECLARED = (*PUBLISHED, *FORMS)
"""Every package of the literature."""
TABLE = "LITERATURE.md"
_LAST = ("files",)


def write_all(folder: Path = SHIPPED) -> None:
    """Write every package of the literature, and the table of studies, into ``folder``."""
    for declared in DECLARED:
        write(declared, folder / declared.manifest.name)
    (folder / TABLE).write_text(table(DECLARED), encoding="utf-8")


def write(declared: Declared, folder: Path) -> None:
    """Write one package."""
    manifest = declared.manifest
    cases = [dataclasses.asdict(case) for case in declared.cases]
    write_package(folder, manifest_text(manifest), _graph(manifest), cases, card(declared))


def pin_all() -> None:
    """Let the packages of the literature that lie in the node's own folder ship."""
    for declared in DECLARED:
        pin(SHIPPED / declared.manifest.name)


def _graph(manifest: Manifest) -> bytes | None:
    if not isinstance(manifest, Scalar):
        return None
    if manifest.threshold is not None:
        return threshold_graph(manifest.threshold, manifest.prior)
    assert manifest.logistic is not None, manifest.name
    return logistic_graph(manifest.logistic, [given.name for given in manifest.inputs])


def manifest_text(manifest: Manifest) -> str:
    """package.toml without its hashes: what the manifest says beside its defaults, plain keys before tables."""
    said = {
        field.name: getattr(manifest, field.name)
        for field in dataclasses.fields(manifest)
        if field.name not in _LAST and getattr(manifest, field.name) != field.default
    }
    plain = {key: value for key, value in said.items() if not _is_table(value)}
    tables = {key: value for key, value in said.items() if _is_table(value)}
    first = {key: plain.pop(key) for key in ("format", "kind", "name")}
    lines = ["# Made by `python -m her2node.models.literature`; CARD.md tells where each number comes from."]
    lines += [f"{key} = {_value(value)}" for key, value in (first | plain).items()]
    for key, value in tables.items():
        for item in value if isinstance(value, tuple) else (value,):
            lines += ["", f"[[{key}]]" if isinstance(value, tuple) else f"[{key}]", *_keys(item)]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    of = value[0] if isinstance(value, tuple) and value else value
    return dataclasses.is_dataclass(of)


def _keys(item: Any) -> Iterator[str]:
    for key, value in _stated(item).items():
        yield f"{key} = {_value(value)}"


def _stated(item: Any) -> dict[str, Any]:
    """The fields that differ from their defaults."""
    return {
        field.name: getattr(item, field.name)
        for field in dataclasses.fields(item)
        if getattr(item, field.name) != field.default
    }


def _value(value: Any) -> str:
    """A TOML value on one line, but for lists of sentences."""
    if dataclasses.is_dataclass(value):
        return _value(_stated(value))
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, tuple):
        items = list(map(_value, value))
        if value and all(isinstance(item, str) for item in value) and sum(map(len, items)) > 80:
            return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
        return "[" + ", ".join(items) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
