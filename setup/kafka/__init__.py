"""Kafka: one KRaft node, and its topics by the contract."""
