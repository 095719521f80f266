"""Jobs: wiring from topics to topics and tables."""
