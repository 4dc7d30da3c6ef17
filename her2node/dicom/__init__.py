"""The language: DICOM attributes, identity, codes and UIDs.

Knows pydicom and nothing of the node. What is read here is checked once, tolerantly, and trusted afterwards.
"""
