"""Results on their way out: who gets what, and a courier that brings it there until the peer is seen to have it.

It knows nothing of what it carries: an object is a file, a kind and UIDs. It reads the ledger and the files of the
results, speaks through ``dimse``, and judges no image.
"""
