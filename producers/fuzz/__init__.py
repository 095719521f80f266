"""Frames made to hurt, a million for each venue's parser: see ``__main__.py``."""
