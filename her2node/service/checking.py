"""`settings check`: everything about the settings that can be known before a role starts."""

from __future__ import annotations

from her2node.dimse.tls import client_context, server_context
from her2node.errors import SettingsRefused
from her2node.service.roles import queue_options_of
from her2node.service.shelf import verify
from her2node.settings import Settings

LEDGERS = ("sqlite:///", "postgresql+psycopg://", "postgresql://")


def check(settings: Settings) -> None:
    """Raises SettingsRefused, naming the key: TLS files, broker, ledger URL, packages and keys."""
    if settings.reception.tls.port:
        server_context(settings.reception.tls)
    if any(peer.tls for peer in settings.peers.values()):
        client_context(settings.delivery.tls)
    queue_options_of(settings)
    if not settings.ledger_url.startswith(LEDGERS):
        raise SettingsRefused(
            f"ledger.url begins with {settings.ledger_url.split(':')[0]!r}", remedy=f"one of {', '.join(LEDGERS)}"
        )
    for line, good in verify(settings, None, enabled_only=True):
        if not good:
            raise SettingsRefused(line)
