"""Association policy, one C-STORE (bytes in, status out), and when a study is complete.

Joins the wire, the spool and the ledger for the receiver; knows no pynetdicom and no database. What judges is pure:
it takes values and returns values.
"""
