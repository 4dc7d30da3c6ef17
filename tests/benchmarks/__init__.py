"""Run by hand, candidates in turn inside one run: only ratios of one run mean much."""
