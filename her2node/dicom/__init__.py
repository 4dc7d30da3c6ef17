"""The language: DICOM attributes, identity, codes and UIDs.

Knows pydicom and nothing of the node. What is read here is checked once, tolerantly, and trusted afterwards: pydicom
is told not to judge values on reading, for ``attributes`` does.
"""

from pydicom import config

config.settings.reading_validation_mode = config.IGNORE
