"""One tree of errors; each type says what its handler does.

QuicksilverError
├── InputError          stop       the user named something that cannot be read: exit 2
├── FrameError          dead-letter  one frame or row is unreadable; the feed goes on
│   └── ForeignFrameError    dead-letter  readable, but not a message of this venue
├── SequenceError       resync     the venue's own rule shows a loss: a Gap, then a new snapshot
├── StateError          stop       saved state that does not fit this version or configuration
└── VenueError          retry      the venue refused or dropped us
"""

from enum import Enum


class Answer(Enum):
    """What a handler does about an error."""

    RETRY = "retry"
    RESYNC = "resync"
    DEAD_LETTER = "dead-letter"
    STOP = "stop"


class QuicksilverError(Exception):
    """Base of every error that Quicksilver raises on purpose; its text is for people."""

    answer = Answer.STOP


class InputError(QuicksilverError):
    """A file, option or address of the user's cannot be used; the text says what to do."""


class FrameError(QuicksilverError):
    """One frame or row cannot be read."""

    answer = Answer.DEAD_LETTER


class ForeignFrameError(FrameError):
    """A frame that is well formed but not of this venue's protocol."""


class SequenceError(QuicksilverError):
    """The venue's sequence or checksum rule shows that something was lost."""

    answer = Answer.RESYNC


class StateError(QuicksilverError):
    """Saved state does not fit this version or configuration."""


class VenueError(QuicksilverError):
    """The venue refused a request or dropped the connection."""

    answer = Answer.RETRY
