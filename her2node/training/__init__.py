"""Packages from what was trained elsewhere. Needs the extra ``train``; nothing here runs while studies are read."""
