"""Our clock behind the venue's: measured, and no event is the worse for it."""

from pathlib import Path

import numpy as np

from jobs.embedded import EmbeddedRunner
from jobs.parsers import Parsers
from jobs.recorded import TapeSource
from producers.clocks import WINDOW_NS, Clocks
from producers.tapes import read_frames
from quicksilver.events import SECOND_NS, AnyEvent, Gap, Trade
from quicksilver.memory import MemoryBus
from quicksilver.records import DeadLetter, Features, Latency, Published, Status

BEHIND = "hftbacktest/spot/btcusdt_20240808.gz"  # recorded by a clock that is 1.27 s behind Binance's
RIGHT = "market-aggregator/2026-08-09-btc-usd-live.jsonl.gz"


def events_of(path: Path) -> list[AnyEvent]:
    parsers = Parsers(lambda letter: None)
    return [event for frame in read_frames(path) for event in parsers.parse(frame)]


def test_a_clock_that_is_behind_is_measured_on_a_recording(tapes: Path) -> None:
    clocks, events = Clocks(), events_of(tapes / BEHIND)
    ways = [clocks.latency_ns(event) for event in events]
    assert 1.26 < clocks.behind()["binance"] / 1e9 < 1.28
    known = np.array([way for way in ways if way is not None])
    assert len(known) > 0.99 * len(events)
    assert known.min() >= 0
    assert 0 < np.median(known) < 0.1 * SECOND_NS  # of what came from the venue; before, the median was negative
    raw = np.median([event.ts_recv_ns - event.ts_event_ns for event in events])
    assert raw < -SECOND_NS


def test_a_clock_that_is_right_is_not_said_to_be_behind(tapes: Path) -> None:
    clocks = Clocks()
    for event in events_of(tapes / RIGHT):
        clocks.latency_ns(event)
    assert clocks.behind() == {}


async def test_a_recording_by_a_clock_that_is_behind_gives_all_that_another_gives(tapes: Path) -> None:
    records: list[Published] = []
    bus = MemoryBus()
    bus.subscribe(lambda topic, key, record: records.append(record))
    await EmbeddedRunner(TapeSource(tapes / BEHIND, "max"), bus).run()
    assert not [one for one in records if isinstance(one, DeadLetter)]
    assert [one.state for one in records if isinstance(one, Status)] == ["LIVE"]
    features = [one for one in records if isinstance(one, Features)]
    assert len(features) == sum(not isinstance(event, Trade | Gap) for event in events_of(tapes / BEHIND))
    assert features[-1].volatility_60s_bps is not None
    behind = [one for one in records if isinstance(one, Latency) and one.hop == "0 clock behind venue: binance"]
    assert behind
    assert all(1.26e6 < one.p50_us == one.max_us < 1.28e6 for one in behind)


def trade(recv_s: float, behind_s: float) -> Trade:
    recv_ns = 1_790_000_000 * SECOND_NS + int(recv_s * SECOND_NS)
    return Trade("v", "A-B", 1, recv_ns + int(behind_s * SECOND_NS), recv_ns, 1.0, 1.0, None)


def test_a_clock_that_was_set_right_is_believed_after_a_while() -> None:
    clocks = Clocks()
    assert clocks.latency_ns(trade(0, 2.0)) == 0
    assert clocks.latency_ns(trade(1, 1.5)) == SECOND_NS // 2
    assert clocks.behind() == {"v": 2 * SECOND_NS}
    for recv_s in range(2, 2 * WINDOW_NS // SECOND_NS + 3):
        clocks.latency_ns(trade(recv_s, -0.25))
    assert clocks.behind() == {}
    assert clocks.latency_ns(trade(500, -0.25)) == SECOND_NS // 4


def test_ordinals_and_times_of_our_own_say_nothing() -> None:
    clocks = Clocks()
    assert clocks.latency_ns(Trade("v", "A-B", 1, 1_790_000_000 * SECOND_NS, 7, 1.0, 1.0, None)) is None
    assert clocks.latency_ns(trade(0, 0.0)) is None
    assert clocks.behind() == {}
