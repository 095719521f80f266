"""Tapes: raw frames on disk, in Quicksilver's own layout and those of other recorders."""

from producers.tapes.own import TapeWriter
from producers.tapes.read import layout_of, read_frames

__all__ = ["TapeWriter", "layout_of", "read_frames"]
