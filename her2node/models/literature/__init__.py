"""Every study of the review, declared: what was published, what follows from it, and the packages made of that.

``published`` holds what runs with printed numbers, ``forms`` what has none and must be trained, ``evidence`` the
directions of effect, ``studies`` the table of all studies. ``writing`` makes the package folders; the same declarations
give the same bytes. ``python -m her2node.models.literature`` makes and pins what ships.
"""
