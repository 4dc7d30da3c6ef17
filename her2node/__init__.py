"""her2node: a DICOM node beside the PACS that quantifies gastric cancer and estimates HER-2 positivity.

Research software, not a medical device. The rooms, in the order of a study's way, are listed in README.md.
"""

__version__ = "0.1.0"
