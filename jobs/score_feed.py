"""Scores of a running Quicksilver: those that are stored, and those that its websocket brings."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException

from api.ports import JsonRows
from api.store_sqlite import SqliteReader
from jobs.feature_histories import CASSANDRA, CASSANDRA_PATIENCE_S, kind_of
from producers.exchanges.retrying import backoff
from quicksilver import codec
from quicksilver.errors import FrameError, InputError
from quicksilver.records import Score

CHANNEL = "scores"
HISTORY = 1_000  # rows of a key at the start, and after a loss: what is known already is dropped by who reads them
FIRST_S, MOST_S = 0.25, 10.0
MOST_BYTES = 16 << 20  # of a message: a snapshot of a thousand rows has half a megabyte
PAGE = 10_000
MOST_ROWS = 500_000  # of an instrument: many models have scores, and one is looked for


class _Rows(msgspec.Struct, tag_field="type"):
    channel: str
    key: str
    seq: int
    rows: list[msgspec.Raw]


class _Snapshot(_Rows, tag="snapshot"):
    """The last rows of a key."""


class _Delta(_Rows, tag="delta"):
    """Rows that came since."""


def websocket_of(address: str) -> str:
    """Return the websocket of an API.

    >>> websocket_of("http://127.0.0.1:8000/"), websocket_of("wss://desk.example")
    ('ws://127.0.0.1:8000/ws', 'wss://desk.example/ws')

    Raises:
        InputError: it is no such address.
    """
    parts = urlsplit(address)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in {"ws", "wss"} or not parts.netloc:
        raise InputError(f"{address}: no address of an API such as http://127.0.0.1:8000")
    path = parts.path.rstrip("/")
    return urlunsplit((scheme, parts.netloc, path if path.endswith("/ws") else f"{path}/ws", "", ""))


async def live_scores(address: str, say: Callable[[str], None]) -> AsyncIterator[list[Score]]:
    """Yield the scores of a running process as they come, for ever; while it is away, it is waited for.

    Rows may come twice, after a loss or a new connection.

    Raises:
        InputError: the server refuses, or is none of ours.
    """
    url, waits, away = websocket_of(address), backoff(FIRST_S, MOST_S), False
    while True:
        try:
            async with connect(url, max_size=MOST_BYTES, proxy=None) as socket:
                say(f"following the scores of {url}")
                away = False
                async for scores in _scores(socket):
                    waits = backoff(FIRST_S, MOST_S)
                    yield scores
        except (msgspec.MsgspecError, FrameError) as error:
            raise InputError(f"{url}: no API of this version of Quicksilver: {error}") from error
        except (OSError, WebSocketException) as error:
            if isinstance(error, InvalidURI) or (isinstance(error, InvalidStatus) and error.response.status_code < 500):
                raise InputError(f"{url}: {error}") from error
            if not away:
                say(f"{url}: {error or type(error).__name__}; waiting for it")
            away = True
        await asyncio.sleep(next(waits))


async def _scores(socket: ClientConnection) -> AsyncIterator[list[Score]]:
    seen: dict[str, int] = {}
    await _subscribe(socket)
    async for text in socket:
        message = _read(text if isinstance(text, bytes) else text.encode())
        if message is None:
            continue
        lost = isinstance(message, _Delta) and message.seq - len(message.rows) != seen.get(message.key, 0)
        seen[message.key] = message.seq
        if lost:
            await _subscribe(socket)
        yield [codec.decode(Score, bytes(row)) for row in message.rows]


async def _subscribe(socket: ClientConnection) -> None:
    await socket.send(msgspec.json.encode({"op": "subscribe", "channels": [CHANNEL], "history": HISTORY}).decode())


_kind_of = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows_of = msgspec.json.Decoder(_Snapshot | _Delta)


def _read(message: bytes) -> _Rows | None:
    """Rows, if the message has some: the server greets, too."""
    kind = bytes(_kind_of.decode(message).get("type", b""))
    return _rows_of.decode(message) if kind in {b'"snapshot"', b'"delta"'} else None


def stored_scores(source: str, names: Collection[str]) -> list[Score]:
    """Return what a database has of some models' scores, in order of time; of what is no database, nothing.

    Raises:
        InputError: the file cannot be used.
        StoreError: Cassandra does not answer.
    """
    if source == CASSANDRA:
        from api.store_cassandra import CassandraStore
        from setup.cassandra.client import CassandraSettings

        with closing(CassandraStore(CassandraSettings.from_environment())) as store:
            store.wait(CASSANDRA_PATIENCE_S)
            return in_order(pages_of(store, names))
    kind, path = kind_of(source)
    if kind != "sqlite" or not path.exists():
        return []
    with closing(SqliteReader(path)) as rows:
        return in_order(pages_of(rows, names))


def pages_of(store: JsonRows, names: Collection[str]) -> Iterator[list[Score]]:
    """Yield the scores of some models among the newest rows of a store, page by page; some twice."""
    marks = [b'"model":' + msgspec.json.encode(name) for name in names]
    for key in store.keys(CHANNEL):
        n, end_ns = 0, None
        while n < MOST_ROWS:
            rows = store.read_json(CHANNEL, key, end_ns=end_ns, limit=PAGE)
            yield [codec.decode(Score, row) for row in rows if any(mark in row for mark in marks)]
            n += len(rows)
            before_ns = codec.decode(Score, rows[0]).ts_event_ns + 1 if rows else 0  # some of that time may be left out
            if not rows or before_ns == end_ns:
                break
            end_ns = before_ns


def in_order(pages: Iterable[list[Score]]) -> list[Score]:
    """Return scores in order of time, each once."""
    found = {codec.encode(score): score for page in pages for score in page}
    return sorted(found.values(), key=lambda one: (one.ts_known_ns, one.venue, one.symbol, one.seq))
