"""Labels against a brute-force reading of the whole path, and never before they can be known."""

import math

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from quicksilver.labels import LabelConfig, LabelQueue
from quicksilver.records import Label

CONFIG = LabelConfig(horizons_ns=(3, 10), fee_bps=5.0)
paths = st.lists(st.tuples(st.integers(0, 4), st.floats(90, 110)), min_size=1, max_size=60)


def play(steps: list[tuple[int, float]], queue: LabelQueue, start: int = 1_000, first_seq: int = 1) -> list[Label]:
    ts, labels = start, []
    for seq, (dt, mid) in enumerate(steps, first_seq):
        ts += dt
        labels += queue.on_price(ts, ts + 1, mid)
        queue.on_features(seq, ts, mid)
    return labels


def moments(steps: list[tuple[int, float]], start: int = 1_000) -> list[tuple[int, float]]:
    out, ts = [], start
    for dt, mid in steps:
        ts += dt
        out.append((ts, mid))
    return out


@given(steps=paths)
@settings(max_examples=200)
def test_labels_equal_brute_force(steps: list[tuple[int, float]]) -> None:
    path = moments(steps)
    expected = set()
    for seq, (t, mid) in enumerate(path, 1):
        for h in CONFIG.horizons_ns:
            later = [ts for ts, _ in path if ts > t + h]
            if later:
                last = [price for ts, price in path if ts <= t + h][-1]
                bps = math.log(last / mid) * 1e4
                direction = 1 if bps > 10 else -1 if bps < -10 else 0
                expected.add((seq, h, mid, last, direction, min(later)))
    labels = play(steps, LabelQueue("v", "A-B", CONFIG))
    got = {(one.seq, one.horizon_ns, one.price_then, one.price_later, one.direction, one.ts_known_ns) for one in labels}
    assert got == expected
    assert len(labels) == len(expected)
    assert all(one.ts_known_ns > one.ts_event_ns + one.horizon_ns for one in labels)


jittery = st.lists(st.tuples(st.integers(-6, 8), st.floats(90, 110)), min_size=1, max_size=60)


@given(steps=jittery)
def test_a_clock_that_steps_back_is_read_as_standing_still(steps: list[tuple[int, float]]) -> None:
    steps = [(0, 100.0), *steps]
    forward, latest = [], 1_000
    for ts, mid in moments(steps):
        forward.append((max(ts - latest, 0), mid))
        latest = max(latest, ts)
    got = play(steps, LabelQueue("v", "A-B", CONFIG))
    expected = play(forward, LabelQueue("v", "A-B", CONFIG))
    assert [msgspec.structs.replace(one, ts_recv_ns=0) for one in got] == [
        msgspec.structs.replace(one, ts_recv_ns=0) for one in expected
    ]


def test_the_price_exactly_at_the_horizon_counts_and_waits_for_the_next_event() -> None:
    queue = LabelQueue("v", "A-B", LabelConfig(horizons_ns=(10,), fee_bps=5.0))
    assert play([(0, 100.0), (10, 101.0), (0, 102.0)], queue) == []
    (one,) = queue.on_price(1_011, 1_012, 50.0)
    assert (one.seq, one.ts_event_ns, one.ts_known_ns, one.price_later, one.direction) == (1, 1_000, 1_011, 102.0, 1)


def test_labels_come_by_horizon_and_then_by_seq() -> None:
    queue = LabelQueue("v", "A-B", CONFIG)
    play([(0, 100.0), (1, 100.0), (1, 100.0)], queue)
    order = [(one.horizon_ns, one.seq) for one in queue.on_price(9_000, 9_000, 100.0)]
    assert order == [(3, 1), (3, 2), (3, 3), (10, 1), (10, 2), (10, 3)]


@given(steps=paths, other=paths, cut=st.integers(0, 60))
def test_the_future_changes_no_label_that_is_known(
    steps: list[tuple[int, float]], other: list[tuple[int, float]], cut: int
) -> None:
    first, second = LabelQueue("v", "A-B", CONFIG), LabelQueue("v", "A-B", CONFIG)
    known = play(steps[:cut], first)
    assert play(steps[:cut] + other, second)[: len(known)] == known


@given(steps=paths, cut=st.integers(0, 60))
def test_dump_and_load_at_any_event(steps: list[tuple[int, float]], cut: int) -> None:
    whole = play(steps, LabelQueue("v", "A-B", CONFIG))
    first = LabelQueue("v", "A-B", CONFIG)
    labels = play(steps[:cut], first)
    second = LabelQueue("v", "A-B", CONFIG)
    second.load(first.dump())
    start = moments(steps[:cut])[-1][0] if steps[:cut] else 1_000
    assert labels + play(steps[cut:], second, start, min(cut, len(steps)) + 1) == whole


def test_a_gap_drops_what_waits_and_counts_it() -> None:
    queue = LabelQueue("v", "A-B", CONFIG)
    play([(1, 100.0), (1, 101.0)], queue)
    queue.gap()
    assert queue.dropped == 4
    assert queue.on_price(2_000, 2_000, 100.0) == []


def test_the_threshold_covers_going_in_and_out() -> None:
    assert LabelConfig(fee_bps=7.5).threshold_bps == 15.0
