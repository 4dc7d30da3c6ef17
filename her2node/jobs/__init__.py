"""What is done when: the queue, the leader's clock, and the analysis of one study.

The ledger is the truth, the queue only carries job ids: whatever is lost on the way is due again in the ledger. This
room joins ledger, spool, selection, reading, reports and delivery's outbox; it opens no association, draws no
conclusion about an image, and is the only door to celery, kombu and redis (``queue``, ``broker``).
"""
