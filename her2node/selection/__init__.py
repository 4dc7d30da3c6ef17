"""Which series plays which role, from headers alone.

Takes a study's headers, the site's rules and what was entered; gives roles with their evidence. It reads no pixels,
knows no settings, and never guesses: where nothing tells, the role stays open and says so.
"""

from her2node.selection.assignment import Assignment, assign
from her2node.selection.choice import Selection, select
from her2node.selection.extent import extent_of
from her2node.selection.rules import SiteRule

__all__ = ["Assignment", "Selection", "SiteRule", "assign", "extent_of", "select"]
