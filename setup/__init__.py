"""Bringing the stack up: Kafka, Cassandra, Flink and Spark as processes of this machine, and their contracts."""
