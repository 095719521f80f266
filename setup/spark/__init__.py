"""Spark: a master and a worker."""
