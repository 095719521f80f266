"""One tree of errors; each type says what its handler does.

QuicksilverError
├── InputError          stop         the user named something that cannot be used: exit 2
├── StoreError          retry        the database is away or not ready: 503, or asked again later
├── StateError          stop         saved state that does not fit this version or configuration: exit 2
└── FrameError          dead-letter  one frame or row is unreadable: a gap, and the feed goes on
    ├── ForeignFrameError            a message of another protocol: a gap only for what it names of ours
    ├── RefusalError                 the venue refuses a request of ours: no gap, nothing was lost
    └── UnaskedError                 a message of a symbol that nobody subscribed to: no dead letter, it is skipped

A loss that a venue's own rules show (a sequence number, a checksum) is no error but a ``Gap`` event, answered by a
resync; a connection that breaks is a ``disconnect`` frame, answered by connecting again.
"""


class QuicksilverError(Exception):
    """Base of every error that Quicksilver raises on purpose; its text is for people."""


class InputError(QuicksilverError):
    """A file, option or address of the user's cannot be used; the text says what to do."""


class StoreError(QuicksilverError):
    """The database does not answer, or its tables are not those of this version; nothing is lost by asking again."""


class StateError(QuicksilverError):
    """Saved state does not fit this version or configuration."""


class FrameError(QuicksilverError):
    """One frame or row cannot be read."""


class ForeignFrameError(FrameError):
    """A frame that is well formed but not of this venue's protocol."""


class RefusalError(FrameError):
    """The venue refuses what we asked for, such as a symbol that it does not list."""


class UnaskedError(FrameError):
    """The venue speaks of a symbol that nobody subscribed to."""
