"""The ledger: what is known of every study, instance, job, result and delivery. The only door to SQLAlchemy.

It stores facts and guards their order (``states``); it judges nothing that needs an image, reads no file of the
spool, and sends nothing. The queue only carries what is due here.
"""

from __future__ import annotations

from her2node.ledger.ledger import Ledger, open_ledger

__all__ = ["Ledger", "open_ledger"]
