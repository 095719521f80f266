"""Tapes: raw frames on disk, in Quicksilver's own layout and those of other recorders."""

from producers.tapes.own import TapeWriter
from producers.tapes.read import layout_of, read_frames, venue_of

__all__ = ["TapeWriter", "layout_of", "read_frames", "venue_of"]
