"""`phantom`: a digital study with known truth, written to a folder."""
