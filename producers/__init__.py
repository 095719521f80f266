"""Producers: exchanges, CSV files, tapes and the simulator, to events."""
