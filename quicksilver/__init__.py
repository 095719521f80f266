"""Quicksilver's pure core: books, features, labels, models and portfolios; no I/O and no clock."""

__version__ = "0.1.0"
