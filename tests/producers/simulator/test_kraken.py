"""Kraken's protocol over the simulated market, without sockets."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from producers.exchanges.kraken import KrakenParser
from producers.exchanges.kraken_v1 import DEPTHS
from producers.frames import Frame
from producers.simulator.faults import Line, parse_fault
from producers.simulator.frames import frames
from producers.simulator.listings import LISTINGS
from producers.simulator.orderflow import Market
from producers.simulator.venues.base import Session
from producers.simulator.venues.kraken import KrakenEngine
from producers.simulator.venues.text import decimal
from producers.tapes import read_frames
from quicksilver.events import SECOND_NS, BookSnapshot, Gap, Trade

spec = importlib.util.spec_from_file_location("naive", Path(__file__).with_name("naive.py"))
assert spec is not None
assert spec.loader is not None
naive = importlib.util.module_from_spec(spec)
spec.loader.exec_module(naive)

START_NS = 1_790_000_000 * SECOND_NS
SYMBOLS = list(LISTINGS)


def ask(engine: KrakenEngine, session: Session, method: str, req_id: int | None = None, **params: Any) -> list[str]:
    """Send a request and return what comes back."""
    request: dict[str, Any] = {"method": method}
    request |= {"params": params} if params else {}
    request |= {"req_id": req_id} if req_id is not None else {}
    return [message.text for message in engine.request(session, json.dumps(request))]


def test_frames_are_the_same_to_the_byte() -> None:
    first, second = (list(frames(Market(1, START_NS), SYMBOLS, 25, 3_000)) for _ in range(2))
    assert first == second
    assert len(first) == 3_000
    assert list(frames(Market(2, START_NS), SYMBOLS, 25, 3_000)) != first


def test_frames_begin_as_a_connection_does() -> None:
    taken = [payload for _, payload in frames(Market(1, START_NS), ["BTC/USD", "ETH/USD"], 10, 11)]
    kinds = [naive.channel(payload) for payload in taken]
    assert kinds[:9] == ["status", "subscribe", "subscribe", "book", "book", "subscribe", "subscribe", "trade", "trade"]
    assert [json.loads(payload)["type"] for payload in taken[3:5] + taken[7:9]] == ["snapshot"] * 4


def test_frames_hold_a_heartbeat_for_each_second_in_rising_time() -> None:
    taken = list(frames(Market(1, START_NS), SYMBOLS, 10, 4_000))
    times = [ts_ns for ts_ns, _ in taken]
    assert times == sorted(times)
    beats = [ts_ns for ts_ns, payload in taken if payload == b'{"channel":"heartbeat"}']
    assert beats == [START_NS + SECOND_NS * (i + 1) for i in range(len(beats))]
    assert len(beats) == (times[-1] - START_NS) // SECOND_NS


@pytest.mark.parametrize("symbol", ["SOL/USD", "DOGE/USD"])
def test_readers_of_all_depths_have_the_engines_own_book(symbol: str) -> None:
    """Each message's checksum is that of wire text; each book is the engine's, level by level."""
    engine = KrakenEngine(Market(3, START_NS, [symbol], rate=3.0))
    source_name = symbol.replace("/", "-")
    source, books, sessions = engine.books[source_name], {}, {}
    for depth in DEPTHS:
        sessions[depth], books[depth] = engine.connect(), naive.NaiveBook(depth)
        _, snapshot = ask(engine, sessions[depth], "subscribe", channel="book", symbol=[symbol], depth=depth)
        assert books[depth].apply(snapshot)
    listing, counts = source.listing, dict.fromkeys(DEPTHS, 0)
    for step in range(2_500):
        for session, message in engine.step():
            depth = session.streams["book", source_name]
            if message.kind == "update":
                counts[depth] += 1
                assert books[depth].apply(message.text)
        if step % 50:
            continue
        for depth, book in books.items():
            for side, known in ((source.bids, book.bids), (source.asks, book.asks)):
                assert list(known.items()) == [
                    (decimal(abs(key), listing.price_decimals), decimal(side.lots[key], listing.qty_decimals))
                    for key in side.keys[:depth]
                ]
    assert counts[10] > 1_000
    assert list(counts.values()) == sorted(counts.values())  # a deeper reader hears more


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_projects_own_parser_finds_nothing_wrong(depth: int) -> None:
    parser = KrakenParser()
    events = []
    for ts_ns, payload in frames(Market(4, START_NS), SYMBOLS, depth, 6_000):
        events += parser.parse(Frame("kraken", "kraken.1", "recv", ts_ns, payload))
    assert set(parser.instruments) == {symbol.replace("/", "-") for symbol in SYMBOLS}
    for one in parser.instruments.values():
        assert one.counts.checksums_passed > 400
        assert one.counts.checksums_failed == one.counts.gaps == one.counts.crossed == one.counts.rejected == 0
        assert one.counts.duplicates == 0
    assert sum(isinstance(event, BookSnapshot) for event in events) == len(SYMBOLS)
    assert any(isinstance(event, Trade) for event in events)
    assert not any(isinstance(event, Gap) for event in events)


def test_a_deep_level_that_comes_back_into_the_depth_is_sent_again() -> None:
    engine = KrakenEngine(Market(5, START_NS, ["BTC/USD"]))
    book, session = engine.books["BTC-USD"], engine.connect()
    ask(engine, session, "subscribe", channel="book", symbol=["BTC/USD"], depth=10)
    seen = 0
    for _ in range(500):
        eleventh = book.asks.keys[10]
        lots = book.asks.lots[eleventh]
        for _, message in engine.step():
            if message.kind == "update" and eleventh in book.asks.keys[:10] and book.asks.lots[eleventh] == lots:
                entry = json.loads(message.text, parse_float=str)["data"][0]
                assert {"price": decimal(eleventh, 1), "qty": decimal(lots, 8)} in entry["asks"]
                seen += 1
    assert seen > 10


def test_trade_snapshot_is_followed_by_the_next_numbers() -> None:
    engine = KrakenEngine(Market(6, START_NS, ["BTC/USD"]))
    session = engine.connect()
    _, snapshot = ask(engine, session, "subscribe", channel="trade", symbol=["BTC/USD"])
    history = json.loads(snapshot)["data"]
    assert 1 <= len(history) <= 50
    ids = [entry["trade_id"] for entry in history]
    for _ in range(1_000):
        for _, message in engine.step():
            if message.kind == "trade":
                ids += [entry["trade_id"] for entry in json.loads(message.text)["data"]]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(ids) > len(history)


def test_refusals_name_the_reason_and_leave_the_rest_alone() -> None:
    engine = KrakenEngine(Market(7, START_NS, ["BTC/USD"]))
    session = engine.connect()
    refused, acknowledged, snapshot = ask(
        engine, session, "subscribe", 5, channel="book", symbol=["XXX/USD", "BTC/USD"], depth=25
    )
    assert refused == (
        '{"error":"Currency pair not supported XXX/USD","method":"subscribe","req_id":5,"success":false,'
        '"symbol":"XXX/USD","time_in":"2026-09-21T14:13:20.000000Z","time_out":"2026-09-21T14:13:20.000040Z"}'
    )
    assert acknowledged == (
        '{"method":"subscribe","req_id":5,"result":{"channel":"book","depth":25,"snapshot":true,"symbol":"BTC/USD"},'
        '"success":true,"time_in":"2026-09-21T14:13:20.000000Z","time_out":"2026-09-21T14:13:20.000040Z"}'
    )
    assert naive.NaiveBook(25).apply(snapshot)
    assert session.streams == {("book", "BTC-USD"): 25}


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("subscribe", {"channel": "book", "symbol": ["BTC/USD"], "depth": 11}, "Subscription depth not supported"),
        ("subscribe", {"channel": "nothing", "symbol": ["BTC/USD"]}, "Subscription name invalid"),
        ("subscribe", {"channel": "book", "symbol": []}, "Symbol(s) not found"),
        ("unsubscribe", {"channel": "trade", "symbol": ["BTC/USD"]}, "Subscription Not Found"),
        ("add_order", {}, "Unsupported method"),
        ("subscribe", {"channel": "book", "symbol": "BTC/USD"}, "Malformed request"),
    ],
)
def test_what_cannot_be_met_is_refused(method: str, params: dict[str, Any], error: str) -> None:
    engine = KrakenEngine(Market(7, START_NS, ["BTC/USD"]))
    session = engine.connect()
    (text,) = ask(engine, session, method, **params)
    assert json.loads(text)["error"] == error
    assert json.loads(text)["success"] is False
    assert not session.streams


@pytest.mark.parametrize("text", ["", "hello", "[1]", b"\xff\xfe", '{"params":{}}'])
def test_what_is_no_request_is_refused(text: str | bytes) -> None:
    engine = KrakenEngine(Market(7, START_NS, ["BTC/USD"]))
    (answer,) = engine.request(engine.connect(), text)
    assert json.loads(answer.text)["error"] == "Malformed request"


def test_a_second_subscription_is_refused_and_an_ended_one_is_silent() -> None:
    engine = KrakenEngine(Market(8, START_NS, ["BTC/USD"]))
    session = engine.connect()
    book: dict[str, Any] = {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}
    ask(engine, session, "subscribe", **book)
    (again,) = ask(engine, session, "subscribe", **book)
    assert json.loads(again)["error"] == "Already subscribed"
    (ended,) = ask(engine, session, "unsubscribe", **book)
    assert json.loads(ended)["result"] == {"channel": "book", "depth": 10, "symbol": "BTC/USD"}
    assert [message for _ in range(200) for _, message in engine.step()] == []
    acknowledged, snapshot = ask(engine, session, "subscribe", **book)
    assert json.loads(acknowledged)["success"]
    assert naive.NaiveBook(10).apply(snapshot)


def test_a_subscription_without_snapshot_and_a_ping() -> None:
    engine = KrakenEngine(Market(8, START_NS, ["BTC/USD"]))
    session = engine.connect()
    (only,) = ask(engine, session, "subscribe", channel="book", symbol=["BTC/USD"], snapshot=False)
    assert json.loads(only)["result"]["snapshot"] is False
    (pong,) = ask(engine, session, "ping", 42)
    assert list(json.loads(pong)) == ["method", "req_id", "time_in", "time_out"]
    assert json.loads(pong)["req_id"] == 42


@pytest.mark.parametrize("fault", ["corrupt", "drop"])
def test_a_fault_breaks_one_symbol_and_only_the_checksum_tells(fault: str) -> None:
    engine = KrakenEngine(Market(9, START_NS, ["BTC/USD", "ETH/USD"]))
    engine.watched.add("ETH-USD")
    session, line = engine.connect(), Line()
    parser = KrakenParser()

    def parse(texts: list[str]) -> list[Any]:
        return [
            event
            for text in texts
            for event in parser.parse(Frame("kraken", "kraken.1", "recv", engine.market.now_ns, text.encode()))
        ]

    def heard() -> list[str]:
        return [text for _, message in engine.step() for text in line.pass_on(message, 0.0)]

    parse(ask(engine, session, "subscribe", channel="book", symbol=["BTC/USD", "ETH/USD"], depth=100))
    line.armed.append(parse_fault(f"{fault}:ETH-USD"))
    events = [event for _ in range(500) for event in parse(heard())]
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [gap.symbol for gap in gaps] == ["ETH-USD"]
    assert parser.instruments["BTC-USD"].counts.checksums_failed == 0
    assert line.armed == []
    ask(engine, session, "unsubscribe", channel="book", symbol=["ETH/USD"], depth=100)
    healed = parse(ask(engine, session, "subscribe", channel="book", symbol=["ETH/USD"], depth=100))
    assert [type(event) for event in healed] == [BookSnapshot]
    parse([text for _ in range(500) for text in heard()])
    assert parser.instruments["ETH-USD"].counts.gaps == 1


def shape(payload: bytes) -> str:
    """Reduce a message to its letters: numbers to how they are written, lists of levels to whether they are empty."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME", payload.decode())
    text = re.sub(r'"(checksum|connection_id)":\d+', r'"\1":INT', text)
    text = re.sub(r"\b\d+\.(\d+)", lambda match: "N." + "d" * len(match[1]), text)
    return re.sub(r'(\{"price":N\.d+,"qty":N\.d+\},?)+', r"LEVELS \1", text)


def test_frames_have_the_shape_of_real_ones_to_the_letter(tapes: Path) -> None:
    real = {
        shape(frame.payload)
        for frame in read_frames(tapes / "crossbook" / "kraken_btcusd_l2.cbcap")
        if frame.direction == "recv"
    }
    simulated = {shape(payload) for _, payload in frames(Market(10, START_NS, ["BTC/USD"]), ["BTC/USD"], 10, 2_000)}
    both_sides = {text for text in simulated if text.count("LEVELS") == 2 and '"update"' in text}
    trade = {text for text in simulated if '"trade"' in text}
    engine = KrakenEngine(Market(10, START_NS, ["BTC/USD"]))
    session = engine.connect()
    for method in ("subscribe", "unsubscribe"):
        simulated |= {
            shape(text.encode()) for text in ask(engine, session, method, channel="book", symbol=["BTC/USD"], depth=10)
        }
    assert simulated - both_sides - trade == real
