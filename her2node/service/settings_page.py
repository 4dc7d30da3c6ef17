"""The settings as an operator reads them: a commented example, and what is in force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from her2node.settings import Peer, RoleRule, Settings

_HEAD = """\
# Settings of her2node. Every key stands here with its default, commented out; uncomment what you change.
# Durations are seconds. An environment variable overrides the file:
# HER2NODE_RECEPTION__PORT=104 is [reception] port = 104.
# Secrets are given by file: ledger.url_file, jobs.broker_file, ...tls.key_password_file.
# `her2node settings check` reads this file and names every key that it cannot use.
"""

_EXAMPLES = """
# --- examples -----------------------------------------------------------------------------------------------

# The PACS: calls the node with this AE title and gets the results back.
# [peers.pacs]
# ae = "PACS"
# host = "pacs.hospital.example"
# port = 104

# A site's own word on which series plays which role; patterns are searched in the attributes without regard to case.
# [[selection.rules]]
# role = "portal"
# patterns = { SeriesDescription = "portal|venous", ProtocolName = "abdomen" }
"""


def example() -> str:
    """The whole settings file, every key with its sentence and default, commented out. It is valid TOML."""
    lines = [_HEAD]
    lines += _keys(Settings, skip=("peers",))
    for path, model in _sections(Settings, ""):
        lines += ["", f"[{path}]", *_keys(model)]
    lines += ["", "# [peers.NAME], as many as you like", *_keys(Peer)]
    lines += ["", "# [[selection.rules]], as many as you like, the first that matches decides", *_keys(RoleRule)]
    return "\n".join(lines) + "\n" + _EXAMPLES


def in_force(settings: Settings) -> dict[str, Any]:
    """The settings in force as plain values. Secrets stay in their files: only the files' names are shown."""
    shown: dict[str, Any] = settings.model_dump(mode="json")
    if settings.ledger.url:
        shown["ledger"]["url"] = _without_password(settings.ledger.url)
    if "@" in settings.jobs.broker:
        shown["jobs"]["broker"] = _without_password(settings.jobs.broker)
    return shown


def _without_password(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    user_part, at, host_part = rest.rpartition("@")
    return f"{scheme}{mark}{user_part.split(':')[0]}:***{at}{host_part}" if at else url


def _sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield f"{prefix}{name}", kind
            yield from _sections(kind, f"{prefix}{name}.")


def _keys(model: type[BaseModel], skip: tuple[str, ...] = ()) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name in skip or (isinstance(kind, type) and issubclass(kind, BaseModel)):
            continue
        lines += [f"# {field.description}", f"# {name} = {_default(model, name, field)}"]
    return lines


def _default(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "... (required)"
    if field.default_factory is not None:
        return '"~/.local/state/her2node"' if name == "state_dir" else "..."
    if field.default is None:
        return "(not set)"
    dumped = model.model_construct(**{name: field.default}).model_dump(mode="json", include={name}, warnings=False)
    return json.dumps(dumped[name], ensure_ascii=False)
