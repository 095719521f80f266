"""Whatever goes out comes back, to the bit; what is not ours is refused with a sentence."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quicksilver import codec, events
from quicksilver.errors import FrameError
from quicksilver.events import Levels
from quicksilver.records import Candle, DeadLetter, Prediction

number = st.floats(allow_nan=False, allow_infinity=False)
levels = st.lists(st.tuples(number, number), max_size=5).map(Levels.of)
head = (st.text(max_size=8), st.text(max_size=8), st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 2**62))
any_event = st.one_of(
    st.builds(events.Trade, *head, number, number, st.sampled_from(["buy", "sell", None]), st.none() | st.text()),
    st.builds(events.BookSnapshot, *head, levels, levels, st.none() | st.integers(1, 1000)),
    st.builds(events.BookDelta, *head, levels, levels),
    st.builds(events.Price, *head, number, st.none() | number),
    st.builds(events.Gap, *head, st.text()),
)


@given(event=any_event)
def test_events_round_trip(event: events.AnyEvent) -> None:
    data = codec.encode(event)
    back = codec.decode_event(data)
    assert back == event
    assert hash(back) == hash(event)
    assert codec.encode(back) == data
    assert codec.decode(type(event), data) == event


def test_levels_read_like_a_list_and_survive_pickling() -> None:
    one = Levels.of([(101.5, 2.0), (101.0, 1.0)])
    assert list(one) == [[101.5, 2.0], [101.0, 1.0]]
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != Levels.of([(101.5, 2.0)])
    assert one != [[101.5, 2.0]]


def test_unknown_numbers_leave_as_null() -> None:
    candle = Candle("v", "s", 1, 2, 3, 4, 5, math.nan, 1.0, 1.0, 1.0, 0.0, 0.0, 0, "mid", False)
    assert b'"open":null' in codec.encode(candle)


def test_bytes_of_dead_letters_survive() -> None:
    letter = DeadLetter(1, "a:2", "kraken", None, "why", bytes(range(256)))
    assert codec.decode(DeadLetter, codec.encode(letter)) == letter


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"type":"nothing"}', b'{"type":"gap"}', b"\xff\xfe"])
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError, match="not a"):
        codec.decode_event(data)
    with pytest.raises(FrameError, match="not a Prediction"):
        codec.decode(Prediction, data)
