"""Results on their way out: who gets what, and a courier that brings it there until the peer is seen to have it.

It knows nothing of what it carries: an object is a file, a kind and UIDs. It reads the ledger and the files of the
results, speaks through ``dimse``, and judges no image.
"""

from __future__ import annotations

from her2node.delivery.courier import Courier
from her2node.delivery.desk import Timing
from her2node.delivery.outbox import address, remedy_for

__all__ = ["Courier", "Timing", "address", "remedy_for"]
