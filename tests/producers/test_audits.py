"""Audits: recordings whose books are right are found right, and each kind of damage is found where it is."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.parsers import Parsers
from producers.audits import PATIENCE_NS, AuditCounts, Auditor
from producers.exchanges.base import Observation, Parser
from producers.exchanges.kraken import KrakenParser
from producers.exchanges.venue import parser_of
from producers.frames import Direction, Frame
from producers.tapes import read_frames
from quicksilver.events import SECOND_NS, AnyEvent, BookDelta, Gap, Levels
from quicksilver.records import Audit, DeadLetter
from tests.producers.faults import with_payload

LIVE = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"
BINANCE = "hftbacktest/spot/btcusdt_20240808.gz"
KRAKEN = "crossbook/kraken_btcusd_sample.cbcap"
START_NS = 1_790_000_000 * SECOND_NS
MS = 1_000_000


def ignore(_: DeadLetter) -> None:
    pass


def audited(frames: Iterable[Frame], auditor: Auditor | None = None) -> tuple[Auditor, Sequence[Audit]]:
    """Return an auditor that has seen all frames, and what it found."""
    auditor = auditor or Auditor()
    parsers: dict[str, Parser] = {}
    for frame in frames:
        if frame.venue not in parsers:
            parsers[frame.venue] = parser_of(frame.venue, ignore)
            auditor.attach(parsers[frame.venue])
        for event in parsers[frame.venue].parse(frame):
            auditor.event(event)
    auditor.finish()
    return auditor, auditor.audits()


def frames_of(tapes: Path, name: str, venue: str = "") -> list[Frame]:
    return [frame for frame in read_frames(tapes / name) if venue in {"", frame.venue}]


# Recordings


def test_every_recording_that_holds_whole_books_agrees_with_them(tapes: Path) -> None:
    auditor, audits = audited(frames_of(tapes, LIVE))
    assert auditor.counts == {
        ("coinbase", "BTC-USD"): AuditCounts(2, 2, 2, 0, 3_997, 0, 0.0),
        ("bitstamp", "BTC-USD"): AuditCounts(2, 2, 2, 0, 13_008, 0, 0.0),
    }
    assert auditor.total() == AuditCounts(4, 4, 4, 0, 17_005, 0, 0.0)
    assert [(one.venue, one.ts_event_ns, one.levels_different, one.reason) for one in audits] == [
        ("coinbase", 1786253080770329000, 0, ""),
        ("bitstamp", 1786253082027733000, 0, ""),
        ("coinbase", 1786253140713630000, 0, ""),
        ("bitstamp", 1786253142061059000, 0, ""),
    ]
    assert not auditor.doubts()


@pytest.mark.parametrize(
    "name",
    [
        "market-aggregator/2026-08-09-btc-usd.jsonl.gz",
        KRAKEN,
        "crossbook/kraken_btcusd_l2.cbcap",  # the book is left and asked for again, five times
        "cryptofeed/v3/COINBASE.jsonl.zst",
        "cryptofeed/legacy/2021-04-05.1312c062.BITFINEX-58bafb.0.zst",
        "cryptofeed/legacy/2021-04-05.1312c062.BITSTAMP-b88f8b.0.zst",
        "cryptofeed/legacy/2021-04-05.1312c062.KRAKEN-c197c0.0.zst",
        "cryptofeed/legacy/2021-04-05.1312c062.POLONIEX-d60751.0.zst",
        "cryptofeed/legacy/2021-04-17.3525dc8c.COINBASE.ws.28.0.zst",
        "cryptofeed/legacy/2022-08-21.723f776f.POLONIEX.ws.1.0.zst",
        "bitfinex-api-go/book_checksum_vector.jsonl",
    ],
)
def test_the_book_that_a_recording_begins_with_is_no_audit(tapes: Path, name: str) -> None:
    auditor, audits = audited(frames_of(tapes, name))
    assert auditor.counts == {}
    assert not audits


def test_the_first_seconds_can_be_left_out(tapes: Path) -> None:
    frames = frames_of(tapes, LIVE)
    first_ns = next(frame.ts_recv_ns for frame in frames if frame.direction == "rest")  # the first event's
    at = [frame.ts_recv_ns - first_ns for frame in frames if frame.direction == "rest"][1:]
    assert [audited(frames, Auditor(skip_ns))[0].total().compared for skip_ns in (0, at[0], at[0] + 1, at[3] + 1)] == [
        4, 4, 3, 0,
    ]  # fmt: skip


# Damage


def bitstamp_with(tapes: Path, old: bytes, new: bytes) -> tuple[Auditor, Sequence[Audit]]:
    """Audit Bitstamp's recording with a text of its second book changed."""
    frames = frames_of(tapes, LIVE, "bitstamp")
    at = [i for i, frame in enumerate(frames) if frame.direction == "rest"][1]
    assert frames[at].payload.count(old) == 1
    frames[at] = with_payload(frames[at], frames[at].payload.replace(old, new))
    return audited(frames)


def test_another_size_is_reported_with_its_price(tapes: Path) -> None:
    auditor, audits = bitstamp_with(tapes, b'["64734.82","0.25', b'["64734.82","1.25')
    assert auditor.total() == AuditCounts(2, 2, 2, 0, 13_009, 1, 1.0)
    assert [one.reason for one in audits] == [
        "1 of 6505 levels differ, most of all bid 64734.82, 0.25 there and 1.25 at the venue", "",
    ]  # fmt: skip


def test_a_best_price_that_differs_is_reported(tapes: Path) -> None:
    auditor, audits = bitstamp_with(tapes, b'"bids":[["64739.06"', b'"bids":[["64739.07"')
    assert (auditor.total().best_bid_equal, auditor.total().best_ask_equal, auditor.total().compared) == (1, 2, 2)
    assert (audits[0].best_bid_equal, audits[0].best_ask_equal, audits[0].levels_different) == (False, True, 2)
    assert audits[0].reason.startswith("best bid 64739.06, the venue's 64739.07; 2 of 6506 levels differ, ")


@pytest.mark.parametrize(("venue", "least"), [("bitstamp", 5), ("coinbase", 2)])
def test_what_a_lost_message_leaves_behind_is_found(tapes: Path, venue: str, least: int) -> None:
    """Each message stays, for its number, but without its levels; many of them change again before the audit."""
    frames = frames_of(tapes, LIVE, venue)
    audit = [i for i, frame in enumerate(frames) if frame.direction == "rest"][-1]
    books = [i for i in range(audit) if b"diff_order" in frames[i].payload or b'"l2_data"' in frames[i].payload]
    found = 0
    for gone in books[-60:-20:5]:
        message = msgspec.json.decode(frames[gone].payload)
        for emptied in [message["data"]] if venue == "bitstamp" else message["events"]:
            emptied |= {name: [] for name in ("bids", "asks", "updates") if name in emptied}
        damaged = [*frames[:gone], with_payload(frames[gone], msgspec.json.encode(message)), *frames[gone + 1 :]]
        found += audited(damaged)[0].total().levels_different > 0
    assert found >= least


# Books with numbers


class Reference:
    """Binance's book in dictionaries, by another way than ours."""

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames
        body = next(frame for frame in frames if frame.direction == "rest")
        book = msgspec.json.decode(body.payload)
        self.sides = [{float(p): float(q) for p, q in book[side]} for side in ("bids", "asks")]
        self.start: int = book["lastUpdateId"]

    def to(self, n: int, part: float = 1.0) -> tuple[int, Frame]:
        """Go to the n-th change after the book, of which only ``part`` is done; return its frame's index and a body."""
        seen = 0
        for i, frame in enumerate(self.frames):
            data = msgspec.json.decode(frame.payload).get("data", {})
            if data.get("e") != "depthUpdate" or data["u"] <= self.start:
                continue
            seen += 1
            done = part if seen == n else 1.0
            for side, changes in zip(self.sides, (data["b"], data["a"]), strict=True):
                side.update({float(p): float(q) for p, q in changes[: round(done * len(changes))]})
            if seen == n:
                number = data["u"] if part == 1.0 else (data["U"] + data["u"]) // 2
                return i, self.body(number, frame.ts_recv_ns)
        raise AssertionError("the tape is too short")

    def body(self, number: int, ts_ns: int, n: int = 500) -> Frame:
        bids, asks = ({p: q for p, q in side.items() if q} for side in self.sides)
        best = (sorted(bids.items(), reverse=True)[:n], sorted(asks.items())[:n])
        rows = [[[str(price), str(size)] for price, size in side] for side in best]
        text = {"lastUpdateId": number, "bids": rows[0], "asks": rows[1]}
        return Frame("binance", "binance", "rest", ts_ns, msgspec.json.encode(text))


@pytest.fixture(scope="module")
def binance(tapes: Path) -> list[Frame]:
    frames = [frame for frame in frames_of(tapes, BINANCE) if b"bookTicker" not in frame.payload]
    return frames[:2_000]


def put(frames: list[Frame], at: int, *more: Frame) -> list[Frame]:
    return [
        *frames[:at],
        *(msgspec.structs.replace(one, ts_recv_ns=frames[at].ts_recv_ns) for one in more),
        *frames[at:],
    ]


@pytest.mark.parametrize("part", [1.0, 0.5])
@pytest.mark.parametrize("later", [-40, 1, 55])
def test_a_numbered_book_is_compared_with_ours_of_that_number(binance: list[Frame], part: float, later: int) -> None:
    """Whether it comes before the changes that it holds or after later ones, and if its number is amid a message."""
    at, body = Reference(binance).to(200, part)
    auditor, audits = audited(put(binance, at + later, body))
    assert [(one.best_bid_equal, one.best_ask_equal, one.levels_different) for one in audits] == [(True, True, 0)]
    assert audits[0].levels > 700
    assert auditor.total().undecided == 0


def test_a_numbered_book_of_another_moment_differs(binance: list[Frame]) -> None:
    at, body = Reference(binance).to(200)
    number = msgspec.json.decode(body.payload)["lastUpdateId"]
    wrong = with_payload(body, body.payload.replace(str(number).encode(), str(number + 300).encode()))
    auditor, _ = audited(put(binance, at + 1, wrong))
    assert (auditor.total().compared, auditor.total().levels_different > 0) == (1, True)


def test_a_numbered_book_that_ours_does_not_reach_is_not_compared(binance: list[Frame]) -> None:
    reference = Reference(binance)
    at, body = reference.to(200)
    old = with_payload(body, next(frame for frame in binance if frame.direction == "rest").payload)
    new = reference.body(1 << 60, body.ts_recv_ns)
    for one in (old, new):
        auditor, audits = audited(put(binance, at + 1, one))
        assert not audits
        assert auditor.total() == AuditCounts(undecided=1)


def test_best_prices_that_are_told_with_a_number_are_those_of_our_book(tapes: Path) -> None:
    """Binance tells them with the number of their change; where a message of the book ends with it, both are known."""
    frames = frames_of(tapes, "hftbacktest/spot")
    auditor, audits = audited(frames)
    found = auditor.total()
    assert found.compared == found.best_bid_equal == found.best_ask_equal == len(audits) > 500
    ticker = next(
        frame for frame in frames if b"bookTicker" in frame.payload and frame.ts_recv_ns > audits[0].ts_recv_ns
    )
    data = msgspec.json.decode(ticker.payload)["data"]
    wrong = f"{float(data['b']) - 1:.8f}".encode()
    worse = [
        with_payload(one, one.payload.replace(data["b"].encode(), wrong)) if b"bookT" in one.payload else one
        for one in frames
    ]
    other = audited(worse)[0].total()
    assert other.best_bid_equal < other.best_ask_equal


# Books without a time


def kraken_body(frames: list[Frame], at: int, ts_ns: int, damage: float = 0.0) -> Frame:
    """What Kraken's REST interface would say of the book as it is after the first ``at`` frames."""
    sides: list[dict[float, float]] = [{}, {}]
    for frame in frames[:at]:
        message = msgspec.json.decode(frame.payload)
        for entry in message.get("data", []) if message.get("channel") == "book" else []:
            for side, name in zip(sides, ("bids", "asks"), strict=True):
                side.clear() if message["type"] == "snapshot" else None
                side.update({one["price"]: one["qty"] for one in entry[name]})
                for price in [price for price, size in side.items() if not size]:
                    del side[price]
                worst = sorted(side, reverse=name == "bids")[25:]
                for price in worst:
                    del side[price]
    bids, asks = (sorted(side.items(), reverse=not i) for i, side in enumerate(sides))
    if damage:
        bids.insert(4, (bids[3][0] - 0.05, damage))
    rows = [[[f"{price:.5f}", f"{size:.3f}", 1] for price, size in side] for side in (bids, asks)]
    body = {"error": [], "result": {"XXBTZUSD": {"bids": rows[0], "asks": rows[1]}}}
    url = "https://api.kraken.com/0/public/Depth?pair=XBTUSD&count=25"
    return Frame("kraken", "kraken", "rest", ts_ns, msgspec.json.encode(body), url)


def test_a_book_without_a_time_is_one_of_those_that_ours_was(tapes: Path) -> None:
    frames = frames_of(tapes, KRAKEN)
    at = 1_000
    ts_ns = frames[at].ts_recv_ns
    older = next(i for i, frame in enumerate(frames) if frame.ts_recv_ns > ts_ns - 2 * SECOND_NS)
    for moment in (at, older):
        _, audits = audited(put(frames, at, kraken_body(frames, moment, ts_ns)))
        assert [(one.best_bid_equal, one.best_ask_equal, one.levels_different) for one in audits] == [(True, True, 0)]
    stale = next(i for i, frame in enumerate(frames) if frame.ts_recv_ns > ts_ns - 20 * SECOND_NS)
    _, (audit,) = audited(put(frames, at, kraken_body(frames, stale, ts_ns)))
    assert not (audit.best_bid_equal and audit.best_ask_equal and audit.levels_different == 0)


# A book in doubt


def kraken_in_doubt(tapes: Path, damages: Sequence[float]) -> tuple[list[AnyEvent], list[Audit], list[AnyEvent]]:
    """Play Kraken's recording with a REST book each 5 s, wrong by so much; return events, audits and the tape's own."""
    frames, played, parsers = frames_of(tapes, KRAKEN), list[Frame](), Parsers(ignore)
    start_ns, left = frames[0].ts_recv_ns, list(damages)
    for i, frame in enumerate(frames):
        if left and frame.ts_recv_ns > start_ns + 5 * SECOND_NS * (1 + len(damages) - len(left)):
            played.append(kraken_body(frames, i, frame.ts_recv_ns, left.pop(0)))
        played.append(frame)
    events, audits = list[AnyEvent](), list[Audit]()
    for frame in played:
        events += parsers.parse(frame)
        audits += parsers.audits()
    own = Parsers(ignore)
    return events, audits, [event for frame in frames for event in own.parse(frame)]


def test_a_level_that_differs_three_times_in_a_row_costs_the_book(tapes: Path) -> None:
    """The damage is in the venue's answer, at a price that stays, and that ours has not changed for a minute."""
    frames = frames_of(tapes, KRAKEN)
    parsers = Parsers(ignore)
    first = next(i for i, frame in enumerate(frames) if b'"book","type":"snapshot"' in frame.payload)
    for frame in frames[: first + 1]:
        parsers.parse(frame)
    body = kraken_body(frames, first + 1, 0, damage=1.0)
    start_ns = frames[first].ts_recv_ns
    for i in range(4):
        events = parsers.parse(msgspec.structs.replace(body, ts_recv_ns=start_ns + (10 + 70 * i) * SECOND_NS))
        assert [type(event) for event in events] == [Gap] * (i == 3)  # when the third is compared
    (gap,) = events
    assert isinstance(gap, Gap)
    assert gap.reason.startswith("3 audits in a row differ: 1 of 51 levels differ, most of all bid ")
    assert not parsers.by_venue["kraken"].instruments["BTC-USD"].live
    again = parsers.parse(frames[first])
    assert [event.seq for event in again] == [gap.seq + 1]


@pytest.mark.parametrize(("apart_s", "gaps"), [(5, 0), (35, 1)])
def test_a_proven_level_is_doubted_only_when_no_cache_can_be_as_old(apart_s: int, gaps: int) -> None:
    """Four answers differ at a level of ours that rests: each could be from before it, if a cache is a minute old."""
    walk = Walk([], age_ns=0)
    walk.auditor.event(walk.events[0])
    wrong = Levels.of([(99.0, 5.0), (90.0, 6.0)])
    for _ in range(5):
        walk.now_ns += apart_s * SECOND_NS
        walk.auditor._observe(
            Observation(walk.one, walk.frame(direction="audit"), walk.now_ns, wrong, walk.levels()[1])
        )
        walk.auditor.event(walk.one.trade(walk.frame(), walk.now_ns, 100.0, 1.0, None, None))
    assert len(walk.auditor.doubts()) == gaps


@pytest.mark.parametrize("lag_s", [0, 10, 30])
def test_answers_that_lag_cost_no_book_whose_checksums_are_right(tapes: Path, lag_s: int) -> None:
    frames, played, parsers = frames_of(tapes, KRAKEN), list[Frame](), Parsers(ignore)
    next_ns = frames[0].ts_recv_ns + (lag_s + 2) * SECOND_NS
    for frame in frames:
        if frame.ts_recv_ns > next_ns:
            then_ns = frame.ts_recv_ns - lag_s * SECOND_NS
            then = next(k for k, one in enumerate(frames) if one.ts_recv_ns >= then_ns)
            played.append(kraken_body(frames, then, frame.ts_recv_ns))
            next_ns += 6 * SECOND_NS
        played.append(frame)
    assert not any(isinstance(event, Gap) for frame in played for event in parsers.parse(frame))
    one = parsers.by_venue["kraken"].instruments["BTC-USD"]
    assert one.counts.checksums_failed == 0
    assert (parsers.auditor.total().levels_different > 0) == (lag_s > 0)


def test_differences_that_pass_cost_nothing(tapes: Path) -> None:
    events, audits, own = kraken_in_doubt(tapes, [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    assert [one.levels_different > 0 for one in audits] == [True, False, True, True, False, True, True]
    assert events == own


def test_differences_in_other_places_each_time_cost_nothing(tapes: Path) -> None:
    """They are of the way that the answers took, not of the book."""
    events, audits, own = kraken_in_doubt(tapes, [1.0] * 7)
    assert [one.levels_different for one in audits] == [1] * 7
    assert events == own


# Sockets that send a whole book again


def test_a_book_that_the_socket_sends_again_is_an_audit(tapes: Path) -> None:
    frames = frames_of(tapes, KRAKEN)
    first = next(i for i, frame in enumerate(frames) if b'"book","type":"snapshot"' in frame.payload)
    again = msgspec.structs.replace(frames[first], ts_recv_ns=frames[first].ts_recv_ns + MS)
    auditor, _ = audited([*frames[: first + 1], again, *frames[first + 1 :]])
    assert auditor.total() == AuditCounts(1, 1, 1, 0, 50, 0, 0.0)
    left = b'{"method":"unsubscribe","success":true,"result":{"channel":"book","symbol":"BTC/USD"}}'
    ack = with_payload(again, left)
    assert audited([*frames[: first + 1], ack, again, *frames[first + 1 :]])[0].counts == {}


# Any book


Change = tuple[int, int, int, int]
changes = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 8), st.integers(0, 3), st.integers(1, 900)), max_size=25)


class Walk:
    """A small book and its changes, one event each, told to an auditor; ``states`` are the book after each."""

    def __init__(self, steps: list[Change], depth: int | None = None, age_ns: int = 10 * SECOND_NS) -> None:
        self.auditor, self.parser = Auditor(), KrakenParser()
        self.auditor.attach(self.parser)
        self.one, self.now_ns = self.parser.instrument("A-B"), START_NS
        self.sides: tuple[dict[float, float], dict[float, float]] = ({99.0: 5.0, 90.0: 5.0}, {101.0: 5.0, 110.0: 5.0})
        self.states = [(self.now_ns, self.levels())]
        self.events: list[AnyEvent] = [self.one.snapshot(self.frame(), self.now_ns - MS, *self.levels(), depth)]
        self.now_ns += age_ns
        for side, distance, size, wait_ms in steps:
            price = 100.0 - distance if side == 0 else 100.0 + distance
            self.now_ns += wait_ms * MS
            self.sides[side][price] = float(size)
            for gone in sorted((p for p, q in self.sides[side].items() if q), reverse=not side)[depth or 99 :]:
                del self.sides[side][gone]
            pair = [Levels.of([]), Levels.of([])]
            pair[side] = Levels.of([(price, float(size))])
            self.events.append(self.one.delta(self.frame(), self.now_ns - MS, *pair))
            self.states.append((self.now_ns, self.levels()))

    def frame(self, after_ns: int = 0, direction: str = "rest") -> Frame:
        return Frame("kraken", "k", direction, self.now_ns + after_ns, b"")  # type: ignore[arg-type]

    def levels(self) -> tuple[Levels, Levels]:
        bids, asks = (Levels.of([(p, q) for p, q in side.items() if q]) for side in self.sides)
        return bids, asks

    def audit(self, levels: tuple[Levels, Levels], ts_event_ns: int | None = None) -> AuditCounts:
        """Play all, show a book at the end, and let time pass."""
        for event in self.events:
            self.auditor.event(event)
        frame = self.frame(MS)
        self.parser.observed(self.one, frame, ts_event_ns or frame.ts_recv_ns, *levels)
        self.auditor.event(self.one.trade(self.frame(PATIENCE_NS + 2 * MS), self.now_ns, 1.0, 1.0, None, None))
        return self.auditor.total()


depths = st.sampled_from([None, 2, 3])


@given(steps=changes, back_ms=st.integers(0, 2_900), depth=depths)
@settings(deadline=None, max_examples=300)
def test_any_book_that_ours_was_lately_is_found_equal(steps: list[Change], back_ms: int, depth: int | None) -> None:
    walk = Walk(steps, depth)
    then = [state for ts_ns, state in walk.states if ts_ns <= walk.now_ns - back_ms * MS] or [walk.states[0][1]]
    found = walk.audit(then[-1])
    assert (found.compared, found.best_bid_equal, found.best_ask_equal, found.levels_different) == (1, 1, 1, 0)


@given(steps=changes, which=st.integers(0, 25), depth=depths)
@settings(deadline=None, max_examples=300)
def test_a_book_is_compared_as_of_its_own_time(steps: list[Change], which: int, depth: int | None) -> None:
    walk = Walk(steps, depth)
    ts_ns, state = walk.states[which % len(walk.states)]
    found = walk.audit(state, ts_ns - MS)
    if found.undecided:
        assert ts_ns < walk.now_ns - 2 * SECOND_NS  # older than what is kept
    else:
        assert (found.compared, found.best_bid_equal, found.best_ask_equal, found.levels_different) == (1, 1, 1, 0)


@given(steps=changes, side=st.integers(0, 1))
@settings(deadline=None, max_examples=200)
def test_a_level_that_ours_never_had_is_found(steps: list[Change], side: int) -> None:
    walk = Walk(steps)
    bids, asks = walk.levels()
    wrong = [bids.tolist(), asks.tolist()]
    wrong[side].append([99.5, 1.0] if side == 0 else [100.5, 1.0])
    found = walk.audit((Levels.of(wrong[0]), Levels.of(wrong[1])))
    assert (found.compared, found.levels_different) == (1, 1)
    assert (found.best_bid_equal, found.best_ask_equal) == (side, 1 - side)


def test_a_book_that_was_whole_only_lately_may_differ_from_one_of_before() -> None:
    found = Walk([], age_ns=SECOND_NS).audit((Levels.of([(99.0, 4.0)]), Levels.of([(101.0, 5.0)])))
    assert found == AuditCounts(undecided=1)


@pytest.mark.parametrize("later", [[], [(1, 8, 1, 9_000)]])
def test_a_level_that_fell_out_of_the_depth_does_not_come_back(later: list[Change]) -> None:
    """It was removed at the venue meanwhile, which says nothing of what is beyond the depth."""
    walk = Walk([(0, 5, 1, 100), (0, 3, 1, 4_000), (0, 3, 0, 100), (0, 8, 1, 100), *later], depth=2)
    assert walk.levels()[0].tolist() == [[99.0, 5.0], [92.0, 1.0]]
    found = walk.audit(walk.levels())
    assert (found.compared, found.best_bid_equal, found.best_ask_equal, found.levels_different) == (1, 1, 1, 0)


def test_a_level_that_fell_out_of_the_depth_is_gone_when_another_takes_its_place() -> None:
    walk = Walk([(0, 5, 1, 100), (0, 3, 1, 4_000)], depth=2)
    walk.now_ns += 100 * MS
    walk.events.append(walk.one.delta(walk.frame(), walk.now_ns, Levels.of([(97.0, 0.0), (92.0, 1.0)]), Levels.of([])))
    bids = Levels.of([(99.0, 5.0), (92.0, 1.0)])
    assert walk.audit((bids, walk.levels()[1])) == AuditCounts(1, 1, 1, 0, 4, 0, 0.0)


def test_a_level_that_came_and_went_within_a_message_is_no_difference() -> None:
    walk = Walk([])
    before_ns, (bids, asks) = walk.now_ns, walk.levels()
    walk.now_ns += 100 * MS
    message = walk.one.delta(walk.frame(), walk.now_ns, Levels.of([(99.5, 0.0), (90.0, 6.0)]), Levels.of([]))
    walk.events.append(message)
    amid = Levels.of([(99.5, 1.0), *bids.tolist()])
    assert walk.audit((amid, asks), before_ns + 50 * MS) == AuditCounts(1, 1, 1, 0, 4, 0, 0.0)


def test_a_gap_ends_what_waits_for_its_comparison() -> None:
    walk = Walk([(0, 3, 1, 100)])
    for event in walk.events:
        walk.auditor.event(event)
    frame = walk.frame(MS)
    walk.parser.observed(walk.one, frame, frame.ts_recv_ns, Levels.of([(1.0, 1.0)]), Levels.of([(2.0, 1.0)]))
    for event in walk.one.gap(walk.frame(2 * MS), walk.now_ns, "lost"):
        walk.auditor.event(event)
    assert walk.auditor.total() == AuditCounts(undecided=1)
    walk.parser.observed(walk.one, frame, frame.ts_recv_ns, *walk.levels())  # it is not live
    walk.auditor.finish()
    assert walk.auditor.total() == AuditCounts(undecided=1)


def test_memory_is_bounded_where_there_is_no_clock() -> None:
    """Ordinals stand for receive times: nothing ever becomes old."""
    auditor, parser = Auditor(), KrakenParser()
    auditor.attach(parser)
    one = parser.instrument("A-B")
    bids, asks = Levels.of([(99.0, 1.0)]), Levels.of([(101.0, 1.0)])
    auditor.event(one.snapshot(Frame("kraken", "k", "recv", 1, b""), 1, bids, asks, None))
    for i in range(2, 5_000):
        frame = Frame("kraken", "k", "recv", i, b"")
        auditor.event(BookDelta("kraken", "A-B", i, i, i, Levels.of([(99.0, float(i))]), Levels.of([])))
        if i % 250 == 0:
            parser.observed(one, frame, i, Levels.of([(99.0, float(i))]), asks)
    auditor.finish()
    total = auditor.total()
    assert (total.compared, total.best_bid_equal, total.levels_different) == (19, 19, 0)


def test_a_book_that_grows_without_end_is_compared_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who keeps the book says that it is too large; here it ends nothing."""
    monkeypatch.setattr("quicksilver.book.MAX_CAPACITY", 256)
    auditor = Auditor()
    parser = parser_of("bitstamp", ignore)
    auditor.attach(parser)

    def take(direction: Direction, second: int, bids: list[list[str]]) -> None:
        at_ns = START_NS + second * SECOND_NS
        book = {"microtimestamp": str(at_ns // 1000), "bids": bids, "asks": [["9999", "1"]]}
        diff = {"event": "data", "channel": "diff_order_book_btcusd", "data": book}
        payload = msgspec.json.encode(diff if direction == "recv" else book)
        for event in parser.parse(Frame("bitstamp", "c", direction, at_ns, payload, "https://x/order_book/btcusd/")):
            auditor.event(event)

    levels = [[str(i + 1), "1"] for i in range(400)]
    take("rest", 0, levels[:200])
    take("recv", 1, levels[200:])
    take("audit", 2, levels)
    take("recv", 5, [])
    take("recv", 30, [])
    take("recv", 60, [])
    auditor.finish()
    assert auditor.total() == AuditCounts(undecided=1)
