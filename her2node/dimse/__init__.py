"""The wire: associations in and out, presentation contexts, DIMSE status, TLS.

The only room that imports pynetdicom. It knows nothing of spool, ledger or what the objects mean: it is given
callables, and hands over frozen values and bytes.
"""

from __future__ import annotations

import logging

from pynetdicom import _config

# What pynetdicom has to say about an association becomes an event of ours; its own log handlers format every PDU and
# every data set, which costs time and may print names.
_config.LOG_HANDLER_LEVEL = "none"
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
