"""One file per venue: a feed that moves bytes and a pure parser that returns events."""
