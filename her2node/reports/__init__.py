"""Turns a reading into DICOM objects: structured reports, a segmentation, a summary page, or the reasons why not.

Pure: nothing is read from or written to disk, wire, clock or settings, and the same reading and stamp give the same
bytes. An estimate is never worded as a HER-2 status, and every object says that it is for research.
"""

from her2node.reports.report import ObjectKind, Predecessor, Report, Stamp
from her2node.reports.writing import write

__all__ = ["ObjectKind", "Predecessor", "Report", "Stamp", "write"]
