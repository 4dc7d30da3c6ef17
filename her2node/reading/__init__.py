"""The whole way from series to predictions.

``read`` (``way``) is that way on one page. Each kind of imaging has its course beside it: a function from the scene (a
study, its roles, the regions to measure) to what was found. A course joins volumes, regions and quantities; it
calculates nothing itself. This room knows no wire, ledger, queue or settings.
"""

from her2node.reading.reading import Found, LaidRoi, Measured, Methods, Reading, Scene
from her2node.reading.way import read

__all__ = ["Found", "LaidRoi", "Measured", "Methods", "Reading", "Scene", "read"]
