"""Networks that look at the tumour itself: a crop of a few contrast phases of CT becomes a probability and a map of
where it came from. ``stated`` is what package.toml says of the crop, ``view`` the crop of one series, ``classifier``
the network."""
