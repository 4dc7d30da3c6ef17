"""What `demo` is made of: phantom studies with their truths, a node and a test PACS, and what came back beside them.

``studies`` plans, ``truths`` says what a report must say, ``running`` starts and sends, ``pacs`` receives,
``comparison`` and ``answers`` read the reports, ``told`` prints. Nothing here measures: the node does, from outside.
"""
