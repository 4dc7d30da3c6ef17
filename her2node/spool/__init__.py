"""Instances at rest, in a folder: what peers sent (``incoming``) and what the node made (``results``).

An object is durable under its final name before anyone is told so, and nothing from the wire enters a path. The room
knows files; it knows no association, no ledger, and never looks into a data set.
"""

from __future__ import annotations

from her2node.spool.incoming import AssociationFolder, IncomingFile
from her2node.spool.recovery import Found
from her2node.spool.sessions import LostSession, Session
from her2node.spool.spool import Spool

__all__ = ["Spool", "Session", "AssociationFolder", "IncomingFile", "LostSession", "Found"]
