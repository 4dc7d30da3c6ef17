"""Make and pin the packages of the literature that ship."""

from her2node.models.literature.writing import pin_all, write_all

write_all()
pin_all()
