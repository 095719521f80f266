"""Cassandra: one node."""
