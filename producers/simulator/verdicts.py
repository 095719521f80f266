"""What each protocol can show of each fault; the fault matrix holds the feeds and parsers to it."""

from typing import NamedTuple

from producers.simulator.faults import KINDS


class Verdict(NamedTuple):
    """What is expected of a fault.

    ``mark`` is ``symbol``: a gap of that symbol alone; ``all``: a gap of every symbol of the connection; ``late``: a
    gap, but only after more has come; ``fine``: nothing was lost, and nothing is to be seen; ``-``: the protocol shows
    nothing. ``why`` says more where that is not plain.
    """

    mark: str
    why: str = ""


SYMBOL, ALL, FINE = Verdict("symbol"), Verdict("all"), Verdict("fine")
_NUMBERS_ALL = Verdict("all", "messages are numbered by connection: whose was lost is not known")
_UNNUMBERED = Verdict("-", "messages have no numbers and no checksum")
_NO_CHECKSUM = Verdict("-", "there is no checksum; a book that comes to be crossed is a gap")
_NO_NUMBERS = Verdict("fine", "there are no numbers to begin anew")
_CHECKED_LATER = Verdict("late", "the checksum comes once a second")
_NAMELESS = Verdict("all", "what is left of the frame does not say whose it is")

_COMMON = {
    **dict.fromkeys(("duplicate", "delay"), FINE),
    **dict.fromkeys(("stall", "disconnect", "429", "maintenance"), ALL),
}
VERDICTS: dict[str, dict[str, Verdict]] = {
    "kraken": {
        **dict.fromkeys(("drop", "reorder", "truncate", "corrupt"), SYMBOL),
        "old-snapshot": Verdict("late", "the checksum of the first change after the snapshot tells"),
        "sequence-reset": _NO_NUMBERS,
    },
    "coinbase": {
        **dict.fromkeys(("drop", "reorder", "truncate", "sequence-reset"), _NUMBERS_ALL),
        "corrupt": _NO_CHECKSUM,
        "old-snapshot": Verdict("-", "numbers are of messages, not of books: nothing says how old a snapshot is"),
    },
    "coinbaseexchange": {
        **dict.fromkeys(("drop", "reorder"), _UNNUMBERED),
        "truncate": SYMBOL,
        "corrupt": _NO_CHECKSUM,
        "old-snapshot": Verdict("-", "a snapshot has neither a number nor a time"),
        "sequence-reset": _NO_NUMBERS,
    },
    "bitstamp": {
        "drop": _UNNUMBERED,
        "reorder": Verdict("late", "times that fall show it when the earlier message comes"),
        "truncate": _NAMELESS,
        "corrupt": _NO_CHECKSUM,
        "old-snapshot": SYMBOL,
        "sequence-reset": Verdict("symbol", "there are no numbers: the venue's clock is set back"),
    },
    "bitfinex": {
        **dict.fromkeys(("drop", "reorder", "sequence-reset"), _NUMBERS_ALL),
        "truncate": _NAMELESS,
        **dict.fromkeys(("corrupt", "old-snapshot"), _CHECKED_LATER),
    },
    "poloniex": {
        **dict.fromkeys(("drop", "reorder", "truncate", "sequence-reset"), SYMBOL),
        "corrupt": _NO_CHECKSUM,
        "old-snapshot": Verdict("late", "the first change after the snapshot does not follow it"),
    },
    "binance": {
        **dict.fromkeys(("drop", "reorder", "truncate", "sequence-reset", "old-snapshot"), SYMBOL),
        "corrupt": _NO_CHECKSUM,
    },
}
VERDICTS["binanceusdm"] = VERDICTS["binance"]


def verdict(venue: str, kind: str) -> Verdict:
    """Return what is expected of a fault at a venue."""
    return VERDICTS[venue].get(kind) or _COMMON[kind]


def cases() -> list[tuple[str, str]]:
    """Return every venue with every kind of fault."""
    return [(venue, kind) for venue in VERDICTS for kind in KINDS]
