"""Which instruments speak, have fallen silent, or wait for their book: what is said and done about them while live."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from quicksilver.events import AnyEvent, Gap
from quicksilver.records import AnyRecord, DataState, Status
from quicksilver.topics import key_of

STALE_S = 10.0  # a live instrument silent for this long is said to be stale
WAITING = "waiting for its first book"
UNANSWERED_S = 30.0  # a book asked for and not given for this long is asked for again; Coinbase's are of 5 MB


@dataclass(slots=True)
class _Life:
    """An instrument's last status, when it last spoke and when its book was last asked for (``time.monotonic``)."""

    status: Status
    spoke: float
    asked: float
    stale: bool = False


class Lives:
    """The lives of all instruments, by topic key; ``subscribed`` are those, as venue and symbol, that will speak."""

    def __init__(self, subscribed: Iterable[tuple[str, str]] = ()) -> None:
        now, now_ns = time.monotonic(), time.time_ns()
        statuses = [Status(*one, 0, now_ns, now_ns, "SYNCING", WAITING) for one in subscribed]
        self._lives = {key_of(one): _Life(one, now, now) for one in statuses}

    def waiting(self) -> list[Status]:
        """Return what to say before anything has come: a venue that never speaks must not be missing in silence."""
        return [one.status for one in self._lives.values()]

    def expect(self, venue: str, symbol: str) -> Status:
        """Take note that an instrument was added; returns what to say of it until something comes."""
        now_ns = time.time_ns()
        status = Status(venue, symbol, 0, now_ns, now_ns, "SYNCING", WAITING)
        self.note(key_of(status), status)
        return status

    def dismiss(self, venue: str, symbol: str, reason: str) -> Status:
        """Take note that an instrument was removed; returns what is to be said of it last."""
        now_ns = time.time_ns()
        last = Status(venue, symbol, 0, now_ns, now_ns, "GAP", reason)
        life = self._lives.pop(key_of(last), None)
        return replace(last, seq=life.status.seq) if life else last

    def before(self, key: str) -> Status | None:
        """Take note that an instrument speaks; returns its status, to be said again, if it was stale."""
        life = self._lives.get(key)
        if life is None:
            return None
        life.spoke = time.monotonic()
        if not life.stale:
            return None
        life.stale = False
        return _now(life.status)

    def after(self, key: str, event: AnyEvent, records: list[AnyRecord]) -> bool:
        """Take note of what an event caused; returns whether the instrument's book has to be asked for anew."""
        lost = isinstance(event, Gap)
        for record in records:
            if isinstance(record, Status):
                self.note(key, record)
                lost = lost or record.state == "GAP"
        return lost

    def note(self, key: str, status: Status) -> None:
        """Take note of an instrument's status."""
        now = time.monotonic()
        self._lives[key] = _Life(status, now, now)

    def forget(self, key: str) -> None:
        """Say nothing more of an instrument: its data is recorded, and silence means nothing."""
        self._lives.pop(key, None)

    def state(self, key: str) -> DataState:
        """Return what was last said of an instrument; of one that is not known, that it waits for its book."""
        life = self._lives.get(key)
        if life is None:
            return "SYNCING"
        return "STALE" if life.stale else life.status.state

    def silent(self) -> list[Status]:
        """Return what to say of the instruments that have fallen silent, once for each."""
        since = time.monotonic() - STALE_S
        found = [one for one in self._lives.values() if one.status.state == "LIVE" and one.spoke < since]
        fresh = [one for one in found if not one.stale]
        for one in fresh:
            one.stale = True
        return [replace(_now(one.status), state="STALE", reason=f"nothing for {STALE_S:g} s") for one in fresh]

    def unanswered(self) -> list[Status]:
        """Return the last status of the instruments whose books, the first or another, are now asked for again."""
        now = time.monotonic()
        found = [one for one in self._lives.values() if one.status.state != "LIVE" and now - one.asked > UNANSWERED_S]
        for one in found:
            one.asked = now
        return [one.status for one in found]


def _now(status: Status) -> Status:
    """The same status as of now, so that it is the newest row."""
    now_ns = time.time_ns()
    return replace(status, ts_event_ns=now_ns, ts_recv_ns=now_ns)
