"""Benchmarks: each row stands beside its peer of the same run, for this machine's speed means nothing alone."""
