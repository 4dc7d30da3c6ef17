"""Comparisons with software too large for the default suite; each makes its own environment (see ``run``)."""
