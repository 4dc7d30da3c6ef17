"""Model packages: what they are, whether they may be trusted, and what they say about a study.

A package is a folder (``manifest`` says what is in it); ``package`` loads one and refuses with the reason;
``predicting`` answers for a study. ``session`` is the only door to onnxruntime. The direction of an effect and every
coefficient live in packages, never here. No wire, no ledger, no settings: values in, values out.
"""
