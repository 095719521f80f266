"""Universes that the portfolio job is told: several of the same prices, changed while it runs, bad ones refused."""

import msgspec
import pytest
from msgspec.structs import replace

from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.events import SECOND_NS, AnyEvent, Gap, Price
from quicksilver.pipeline import Pipeline
from quicksilver.portfolio.config import PortfolioConfig, Universe
from quicksilver.portfolio.running import ANEW, ENDED, RunningUniverses
from quicksilver.records import DeadLetter, Frontier, Status
from quicksilver.streaming.message import Headers, Message, Outgoing, outgoing
from quicksilver.streaming.portfolio import PortfolioMachine
from quicksilver.topics import CONTRACT_VERSION
from tests.quicksilver.streaming.messages import START_MS, damaged, published, read, run

CALM = PortfolioConfig("calm", min_observations=5, n_portfolios=300, n_cloud=20)
BOLD = replace(CALM, universe="bold", period_ns=2 * SECOND_NS, aversion=1.0)
EVENTS: list[AnyEvent] = [
    Price("test", symbol, i, i * SECOND_NS, i * SECOND_NS, 100.0 + (i * k) % 11, 1.0)
    for i in range(2, 150)
    for k, symbol in ((3, "A-USD"), (5, "B-USD"), (7, "C-USD"))
]
HALF = len(EVENTS) // 2


def told(config: PortfolioConfig, source: str = "auto") -> Message:
    return read([outgoing(Universe(source, config.universe, config), START_MS, Headers(u=source))])[0]


def ended(name: str) -> Message:
    return read([outgoing(Universe("auto", name, None), START_MS, Headers(u="auto"))])[0]


def sent(messages: list[Message], save_every: int = 31) -> list[Outgoing]:
    return run(PortfolioMachine, messages, save_every, lambda one: one.headers.u)


def alone(config: PortfolioConfig, events: list[AnyEvent]) -> list[bytes]:
    running, found = RunningUniverses([config]), list[Frontier]()
    for one in events:
        assert isinstance(one, Price)
        found += running.on_price(one.venue, one.symbol, one.price, one.ts_event_ns, one.ts_recv_ns)
    return [codec.encode(one) for one in found]


def values(found: list[Outgoing], universe: str) -> list[bytes]:
    return [one.value for one in found if one.key == universe]


def letters(found: list[Outgoing]) -> list[str]:
    return [codec.decode(DeadLetter, one.value).reason for one in found if one.topic == "dead-letters"]


def test_one_event_feeds_every_universe_and_each_is_what_it_is_alone() -> None:
    found = sent([told(BOLD), told(CALM), *read(published(EVENTS))])
    assert {one.key for one in found} == {"bold", "calm"}
    for config in (BOLD, CALM):
        assert values(found, config.universe) == alone(config, EVENTS)
        numbers = [int(one.headers.n) for one in found if one.key == config.universe]
        assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 120


def test_a_gap_is_of_its_own_time_as_it_is_in_one_process() -> None:
    """Before there is a price, told twice, and between prices, a second or two ahead of the next ones."""

    def lost(one: AnyEvent) -> Gap:
        ts_ns = one.ts_event_ns + 1_700_000_000
        return Gap(one.venue, one.symbol, one.seq, ts_ns, ts_ns + one.seq % 2, "lost")

    events = [lost(one) if i < 2 or i % 50 in (17, 20, 44) else one for i, one in enumerate(EVENTS)]
    pipeline = Pipeline(PipelineConfig(portfolios=(CALM,)))
    truth = [record for event in events for record in pipeline.step(event)]
    found = sent([told(CALM), *read(published(events))])
    assert values(found, "calm") == [codec.encode(one) for one in truth if isinstance(one, Frontier)]
    assert sum(isinstance(one, Status) and one.state == "GAP" for one in truth) > 15
    ticks = [one.ts_event_ns for one in truth if isinstance(one, Frontier)]
    assert any(one.state == "WAITING" and one.picks for one in truth if isinstance(one, Frontier))
    assert len(ticks) > 60


def test_universes_of_other_producers_are_none_of_ours() -> None:
    mine, others = published(EVENTS, universe="mine"), published(EVENTS)
    found = sent([told(BOLD, "mine"), *read(mine), *read(others)])
    assert values(found, "bold") == alone(BOLD, EVENTS)
    assert {one.key for one in found} == {"bold", "auto"}


def test_one_begins_where_it_is_told_and_ends_with_a_word_and_the_one_without_a_name_gives_way() -> None:
    messages = read(published(EVENTS))
    found = sent([*messages[:HALF], told(CALM), *messages[HALF:-120], ended("calm"), *messages[-120:]])
    assert msgspec.json.decode(values(found, "auto")[0])["seq"] == 1
    words = [one for one in found if one.topic == "frontiers" and b'"WAITING"' in one.value]
    said = [(one.key, codec.decode(Frontier, one.value).reason) for one in words]
    assert [one for one in said if one[1] == ENDED] == [("auto", ENDED), ("calm", ENDED)]
    assert values(found, "calm")[:-1] == alone(CALM, EVENTS[HALF:-120])
    numbers = [int(one.headers.n) for one in found if one.key == "auto"]  # it is back, and readers drop none of it
    assert numbers == list(range(1, len(numbers) + 1))
    again = [n for one in values(found, "auto") if (n := codec.decode(Frontier, one).n_observations)]
    assert again.count(again[0]) == 2


def test_one_of_hours_is_there_from_the_first_price_after_it_was_told_as_it_is_in_one_process() -> None:
    hours, messages = replace(CALM, universe="hours", period_ns=3600 * SECOND_NS), read(published(EVENTS))
    found = sent([told(CALM), *messages[:HALF], told(hours), *messages[HALF:]])
    (only,) = values(found, "hours")
    assert [only] == alone(hours, EVENTS[HALF:])
    assert (_frontier(only).state, _frontier(only).ts_event_ns) == ("WAITING", EVENTS[HALF].ts_event_ns)
    assert _frontier(only).reason.startswith("the first period of 60 min ends at 1970-01-01 01:00:00 UTC; ")


def test_told_again_nothing_happens_and_told_otherwise_it_goes_on_or_starts_anew() -> None:
    messages = read(published(EVENTS))
    plain = sent([told(CALM), *messages])
    assert sent([told(CALM), *messages[:HALF], told(CALM), *messages[HALF:]]) == plain
    dearer = sent([told(CALM), *messages[:HALF], told(replace(CALM, aversion=9.0)), *messages[HALF:]])
    counts = [
        [codec.decode(Frontier, one).n_observations for one in values(found, "calm")] for found in (dearer, plain)
    ]
    assert counts[0] == counts[1]
    anew = sent([told(CALM), *messages[:HALF], told(replace(CALM, halflife=9.0)), *messages[HALF:]])
    words = [one.reason for one in map(_frontier, values(anew, "calm")) if one.state == "WAITING"]
    assert words.count(ANEW) == 1


def _frontier(value: bytes) -> Frontier:
    return codec.decode(Frontier, value)


def test_of_a_price_series_those_run_that_fit_and_else_the_one_of_its_rows() -> None:
    rows = [replace(one, ts_event_ns=one.ts_event_ns * 2, ts_recv_ns=one.ts_recv_ns * 2) for one in EVENTS]
    messages = read(published(rows, interval=str(2 * SECOND_NS)))
    assert {one.key for one in sent([told(CALM), told(BOLD), *messages])} == {"bold"}
    found = sent([told(CALM), *messages])
    assert {one.key for one in found} == {"auto"}
    assert _frontier(found[-1].value).period_ns == 2 * SECOND_NS


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (damaged(told(CALM)), "not a Universe"),
        (replace(told(CALM), key="auto/bold"), "universe auto/calm under the key auto/bold, header u 'auto'"),
        (
            replace(told(CALM, "mine"), headers=Headers(u="auto")),
            "universe mine/calm under the key mine/calm, header u",
        ),
        (told(replace(CALM, halflife=-1.0)), "universe calm: halflife = -1: give 0.1 to 1e+09"),
        (told(replace(CALM, assets=("A-USD",))), "universe calm: A-USD alone is no portfolio"),
        (replace(told(CALM), value=told(CALM).value.replace(b'"universe":"calm"', b'"universe":"x"')), "that of x"),
        (replace(told(CALM), value=told(CALM).value.replace(b'"period_ns"', b'"period"')), "not a Universe"),
        (replace(told(CALM), headers=Headers(v="9", u="auto")), f"contract version 9, this is {CONTRACT_VERSION}"),
    ],
)
def test_what_cannot_be_used_is_a_dead_letter_and_what_was_before_goes_on(message: Message, why: str) -> None:
    messages, first = read(published(EVENTS)), told(replace(CALM, aversion=3.0))
    found = sent([first, *messages[:HALF], message, *messages[HALF:]])
    assert [why in reason for reason in letters(found)] == [True]
    assert values(found, "calm") == values(sent([first, *messages]), "calm")
