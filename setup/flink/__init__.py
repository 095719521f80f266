"""Flink: ZooKeeper, JobManager, TaskManagers."""
