"""Usual messages give the same events, counts and dead letters on their short way as on the general one."""

import random
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from producers import usual
from producers.exchanges.base import Parser
from producers.exchanges.binance import BinanceParser
from producers.exchanges.kraken import KrakenParser
from producers.exchanges.venue import venues
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import read_frames
from producers.times import iso_to_ns
from quicksilver import codec
from quicksilver.events import AnyEvent
from quicksilver.records import DeadLetter

START_NS = 1_700_000_000_000_000_000
TAPES = (
    "crossbook/kraken_btcusd_sample.cbcap",
    "crossbook/kraken_btcusd_l2.cbcap",
    "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz",
    "cryptofeed/legacy/2021-04-05.1312c062.BINANCE-b38f7c.0.zst",
    "hftbacktest/spot/btcusdt_20240808.gz",
)
SHORT = sorted(name for name, venue in venues().items() if hasattr(venue.parser, "_usual"))


def general(kind: type[Parser]) -> type[Parser]:
    """The same parser without its short way."""
    return type(f"General{kind.__name__}", (kind,), {"_usual": lambda self, frame, events: False})


def outcome(kind: type[Parser], frames: list[Frame]) -> list[bytes]:
    """All that a parser says, encoded only when it has read everything: nothing may change what was given away."""
    letters: list[DeadLetter] = []
    parser = kind("v", letters.append)
    events = [event for frame in frames for event in parser.parse(frame)]
    counts = [parser.counts, *(one.counts for one in parser.instruments.values())]
    return [codec.encode(one) for one in (*events, *letters, *counts)]


def assert_same(kind: type[Parser], frames: list[Frame]) -> None:
    short, long = outcome(kind, frames), outcome(general(kind), frames)
    first = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    assert first is None, f"{short[first]!r} is not {long[first]!r}"  # one line, not thousands
    assert len(short) == len(long)


@cache
def kraken_frames(n: int = 300) -> list[Frame]:
    names = ["BTC/USD", "ETH/USD"]
    return [Frame("v", "c", "recv", at, text) for at, text in simulated(Market(1, START_NS, names), names, 10, n)]


@cache
def binance_frames(n: int = 120) -> list[Frame]:
    """A book, and messages of spot and futures that follow it, by turns."""
    depth = (
        '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":%d,"u":%d,'
        '"b":[["37000.10000000","0.50000000"],["36999.00000000","0.00000000"]],"a":[["37001.00000000","%d.25000000"]]}}'
    )
    futures = (
        '{"e":"depthUpdate","E":1700000000000,"T":1699999999999,"s":"BTCUSDT","U":%d,"u":%d,"pu":%d,"b":[],'
        '"a":[["37001.0","%d.25"]]}'
    )
    trade = (
        '{"stream":"btcusdt@trade","data":{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":%d,"p":"37000.50000000",'
        '"q":"0.00100000","b":71,"a":72,"T":1700000000000,"m":false,"M":true}}'
    )
    same = (
        '{"e":"aggTrade","E":1700000000000,"s":"BTCUSDT","a":%d,"p":"37000.5","q":"0.001","f":1,"l":2,'
        '"T":1700000000000,"m":true,"M":true}'
    )
    book = b'{"lastUpdateId":2,"bids":[["36990.0","1.0"]],"asks":[["37010.0","1.0"]]}'
    frames = [Frame("v", "c", "rest", START_NS, book, "https://x/api/v3/depth?symbol=BTCUSDT")]
    for i in range(1, n // 4):
        texts = (depth % (3 * i, 3 * i + 1, i), trade % i, futures % (3 * i + 2, 3 * i + 2, 3 * i + 1, i), same % i)
        frames += [Frame("v", "c", "recv", START_NS, text.encode()) for text in texts]
    return frames


MADE = {"kraken": kraken_frames, "binance": binance_frames, "binanceusdm": binance_frames}


def damaged(frame: Frame, rng: random.Random) -> Frame:
    """The frame with a letter or two changed, left out, doubled, or with the rest gone."""
    data = bytearray(frame.payload)
    for _ in range(rng.choice((1, 1, 1, 2))):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at] = rng.choice(b'0123456789-.eE",:[]{} \\')
            case 2:
                data.insert(at, rng.choice(b'0123456789-.eE",:[]{} \\'))
            case 3:
                del data[at]
            case _:
                del data[at:]
        data = data or bytearray(b"x")
    return replace(frame, payload=bytes(data))


@pytest.mark.parametrize("name", SHORT)
def test_the_short_way_is_taken_and_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, frames = venues()[name].parser, MADE[name]()
    assert_same(kind, frames)
    taken: list[bool] = []
    short = kind._usual  # type: ignore[attr-defined]

    def watched(parser: Parser, frame: Frame, events: list[AnyEvent]) -> bool:
        taken.append(short(parser, frame, events))
        return taken[-1]

    monkeypatch.setattr(kind, "_usual", watched)
    outcome(kind, frames)
    assert sum(taken) > 0.8 * len(frames)


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("seed", range(12))
def test_damaged_frames_say_the_same(name: str, seed: int) -> None:
    """A frame in ten is damaged; the books are given anew each ten frames, so that most are live."""
    rng, frames = random.Random(seed), MADE[name]()
    books = [frame for frame in frames if frame.direction == "rest" or b'"snapshot"' in frame.payload]
    mixed = []
    for i, frame in enumerate(frames):
        mixed += [damaged(frame, rng) if rng.random() < 0.1 else frame, *(books if i % 10 == 0 else [])]
        mixed += rng.choices(mixed, k=rng.random() < 0.1)  # one that was there before
    assert_same(venues()[name].parser, mixed)


@pytest.mark.parametrize("name", TAPES)
def test_recordings_say_the_same(name: str, tapes: Path) -> None:
    frames = list(read_frames(tapes / name))
    for venue in {frame.venue for frame in frames} & set(SHORT):
        assert_same(venues()[venue].parser, [frame for frame in frames if frame.venue == venue][:12_000])


numbers = st.from_regex(r"(0|[1-9][0-9]{0,20}|0[0-9]{1,3})(\.[0-9]{0,24})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@given(texts=st.lists(st.tuples(numbers, numbers), max_size=4), quoted=st.booleans())
@settings(max_examples=400, deadline=None)
def test_numbers_are_read_as_float_reads_them_or_left(texts: list[tuple[str, str]], quoted: bool) -> None:
    levels = ",".join(f'["{price}","{size}"]' if quoted else f"[{price},{size}]" for price, size in texts)
    data = (
        f'{{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":3,"u":4,"b":[{levels}],"a":[]}}',
        f'{{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":7,"p":"{texts[0][0] if texts else 1}","q":"1",'
        '"T":1700000000000,"m":true}',
    )
    assert_same(BinanceParser, [*binance_frames(4), *(Frame("v", "c", "recv", START_NS, one.encode()) for one in data)])


@given(texts=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), checksum=numbers)
@settings(max_examples=400, deadline=None)
def test_kraken_numbers_are_read_as_float_reads_them_or_left(texts: list[tuple[str, str]], checksum: str) -> None:
    levels = ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in texts)
    text = (
        f'{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{levels}],"asks":[],'
        f'"checksum":{checksum},"timestamp":"2023-11-14T22:13:21.000001Z"}}]}}'
    )
    assert_same(KrakenParser, [*kraken_frames(20), Frame("v", "c", "recv", START_NS, text.encode())])


HEAD = '{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT",'
TRADE = '{"e":"trade","E":1700000000000,"s":"BTCUSDT",'


@pytest.mark.parametrize(
    "text",
    [
        HEAD + '"U":3,"u":4,"u":3,"b":[],"a":[]}',
        HEAD + '"U":3,"u":4,"b":[["1","1"]],"a":[],"b":[]}',
        HEAD + '"U":3,"u":4,"b":[],"a":[],"s":"ETHUSDT"}',
        HEAD + '"U":3,"u":4,"a":[["2","1"]],"b":[["1","1"]]}',
        HEAD + '"U":3,"u":4,"b":[["1242.99667724658515","9860317781472.93258"]],"a":[]}',
        HEAD + '"U":3,"u":4,"b":[["123456789012345.678","1"]],"a":[["0.00000000000000000001","1"]]}',
        HEAD + '"U":4,"u":3,"b":[],"a":[]}',
        HEAD + '"U":3,"u":4,"pu":-1,"b":[],"a":[]}',
        HEAD + '"U":3,"u":4,"b":[]}',
        HEAD + '"U":3,"u":4,"b":[],"a":7}',
        HEAD + '"U":3,"u":4,"b":[],"a":[]}}',
        HEAD + '"U":3,"u":4,"b":[],"a":[],}',
        HEAD + '"U":3,"u":4,"b":[],"a":[],"x":"\\u0041\\""}',
        HEAD + '"U":3,"u":4,"b":[],"a":[],"x":{"u":9}}',
        HEAD + '"U":3,"u":4,"b":[],"a":[],"p":1}',
        HEAD + '"u":4,"b":[],"a":[]}',
        HEAD + f'"U":3,"u":{1 << 62},"b":[],"a":[]}}',
        HEAD + f'"U":3,"u":{1 << 64},"b":[],"a":[]}}',
        '{"stream":"x","data":' + HEAD + '"U":3,"u":4,"b":[],"a":[]}',
        '{"stream":"x\\"","data":' + HEAD + '"U":3,"u":4,"b":[],"a":[]}}',
        '{"stream":"\xff","data":' + HEAD + '"U":3,"u":4,"b":[],"a":[]}}',
        TRADE + '"t":7,"p":"1","q":"1","T":1700000000000}',
        TRADE + '"t":7,"p":"0","q":"1","T":1700000000000,"m":true}',
        TRADE + '"t":7,"p":"1","T":1700000000000,"m":true}',
        TRADE + '"t":7,"p":"1","q":"1","m":true}',
        TRADE + '"t":7,"p":"1","p":"2","q":"1","T":1700000000000,"m":true}',
        TRADE + '"t":7,"p":"1","q":"1","T":1700000000000,"m":true,"b":[]}',
        TRADE + '"p":"1","q":"1","T":1700000000000,"m":true}',
        TRADE + '"t":7,"p":"1","q":"1","T":9,"m":true}',
        TRADE + '"t":7,"p":"1","q":"1","T":1700000000000,"m":1}',
        TRADE + '"t":7,"p":"1","q":"1","T":1700000000000,"m":false,"M":null}',
    ],
)
def test_binance_messages_that_are_not_quite_usual_say_the_same(text: str) -> None:
    made = Frame("v", "c", "recv", START_NS, text.encode("latin-1"))
    assert_same(BinanceParser, [*binance_frames(4), made])


@given(
    at=st.datetimes(datetime(1971, 1, 1), datetime(2115, 12, 31)),
    fraction=st.from_regex(r"(\.[0-9]{1,9})?", fullmatch=True),
)
@settings(max_examples=300, deadline=None)
def test_times_are_read_as_the_general_way_reads_them(at: datetime, fraction: str) -> None:
    text = f"{at.replace(tzinfo=UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
    assert usual.iso_time(f"..{text}".encode(), 2) == (len(text) + 2, iso_to_ns(text))


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-00-01T00:00:00Z",
        "2023-01-00T00:00:00Z", "2023-04-31T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z",
        "2023-01-01T00:00:60Z", "2023-01-01 00:00:00Z", "2023-01-01T00:00:00", "2023-01-01T00:00:00.Z",
        "2023-01-01T00:00:00.0123456789Z", "2023-01-01T00:00:00+Z", "20/3-01-01T00:00:00Z", "2023-01-01T00:00:0",
        "0000-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "",
    ],
)  # fmt: skip
def test_times_that_are_none_are_left(text: str) -> None:
    assert usual.iso_time(text.encode(), 0)[0] == usual.OTHER


def test_blocks_of_levels_are_given_away_once() -> None:
    block = usual.LevelBlock()
    taken = []
    for i in range(3 * usual.BLOCK_LEVELS // 7):
        at = block.at
        block.rows[at : at + 7] = i
        taken.append(block.take(at + 3, at + 7))
    assert all((bids.array == i).all() and (asks.array == i).all() for i, (bids, asks) in enumerate(taken))
    assert {(len(bids), len(asks)) for bids, asks in taken} == {(3, 4)}
