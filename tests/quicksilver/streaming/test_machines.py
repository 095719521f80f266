"""Machines: whatever order topics are read in, saved and loaded anywhere, they give what one process gives."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from itertools import groupby

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames
from producers.simulator.orderflow import Market
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.errors import StateError
from quicksilver.events import AnyEvent, Gap, Price
from quicksilver.instrument import InstrumentStage
from quicksilver.models.card import Card, Deployment
from quicksilver.pipeline import Pipeline
from quicksilver.records import AnyRecord, DeadLetter, FullBook, Prediction, Score, Status
from quicksilver.streaming import sequencer
from quicksilver.streaming.instruments import FeatureMachine, config_of
from quicksilver.streaming.message import PAYLOAD_BYTES, Headers, Message, Outgoing, event_message, outgoing
from quicksilver.streaming.patience import Patience
from quicksilver.streaming.portfolio import MOST_SESSIONS, PortfolioMachine
from quicksilver.streaming.predictions import PredictionMachine
from quicksilver.topics import TOPIC_OF, TOPICS, key_of
from tests.cards import MOVES, card_of, histories_of
from tests.quicksilver.streaming.messages import START_MS, apart, damaged, published, read, rows, run

START = 1_700_000_000_000_000_000
SYMBOLS = ["BTC/USD", "ETH/USD"]
DERIVED = {"features", "labels", "status"}


def market(seed: int, steps: int) -> list[AnyEvent]:
    parser = KrakenParser("sim")
    raw = frames(Market(seed, START, SYMBOLS), SYMBOLS, 100, steps)
    return [event for ts, data in raw for event in parser.parse(Frame("sim", "s", "recv", ts, data))]


@pytest.fixture(scope="module")
def events() -> list[AnyEvent]:
    return market(5, 4_000)


@pytest.fixture(scope="module")
def truth(events: list[AnyEvent]) -> dict[tuple[str, str], list[bytes]]:
    return in_one_process(events)


def in_one_process(
    events: list[AnyEvent],
    interval: str = "",
    market: PipelineConfig = PipelineConfig(),  # noqa: B008 (immutable)
    deployments: Iterable[Deployment] = (),
) -> dict[tuple[str, str], list[bytes]]:
    found: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
    pipeline = Pipeline(config_of(interval, market))
    for one in deployments:
        pipeline.adopt(one)
    for event in events:
        for record in pipeline.step(event):
            found[TOPIC_OF[type(record)].name, key_of(record)].append(codec.encode(record))
    return dict(found)


def cluster(sent: list[Outgoing], seed: int, repeats: float = 0.0, save_every: int = 0) -> list[Outgoing]:
    """All three jobs."""
    messages = read(sent)
    derived = run(FeatureMachine, apart(messages, seed, repeats), save_every)
    between = [one for one in derived if one.topic in DERIVED]
    predicted = run(PredictionMachine, apart(read(between), seed + 1, repeats), save_every)
    frontiers = run(PortfolioMachine, apart(messages, seed + 2, repeats), save_every, lambda one: one.headers.u)
    return derived + predicted + frontiers


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31), repeats=st.sampled_from([0.0, 0.3]))
def test_the_jobs_give_what_one_process_gives(
    events: list[AnyEvent], truth: dict[tuple[str, str], list[bytes]], seed: int, repeats: float
) -> None:
    assert rows(cluster(published(events), seed, repeats, save_every=997)) == truth
    assert {topic for topic, _ in truth} >= {"features", "predictions", "scores", "labels", "tops", "frontiers"}


def test_price_series_keep_the_clock_of_their_rows() -> None:
    interval = 60_000_000_000
    events: list[AnyEvent] = [
        Price("csv", symbol, i, i * interval, i * interval, 100.0 + (i * k) % 7, 1.0)
        for i in range(1, 200)
        for k, symbol in ((3, "A-USD"), (5, "B-USD"))
    ]
    found = rows(cluster(published(events, interval=str(interval), universe="every-60s"), 3))
    assert found == in_one_process(events, str(interval))
    assert ("frontiers", "every-60s") in found


@pytest.mark.parametrize("seed", [1, 2])
def test_full_books_are_those_of_one_process(events: list[AnyEvent], seed: int) -> None:
    config = PipelineConfig(full_books_per_s=4.0, full_book_levels=30)
    messages = apart(read(published(events)), seed, 0.3)
    found = rows(run(partial(FeatureMachine, config=config), messages, save_every=997))
    expected = in_one_process(events, market=config)
    assert found == {place: expected[place] for place in found}
    for symbol in ("BTC-USD", "ETH-USD"):
        full = [codec.decode(FullBook, value) for value in found["full-books", f"sim:{symbol}"]]
        assert len(full) > 100
        assert {len(one.bids) for one in full} == {30} != {one.n_bids for one in full}
    plain = rows(run(FeatureMachine, messages))
    assert plain == {place: values for place, values in found.items() if place[0] != "full-books"}


def test_other_full_books_from_now_on_change_no_number(events: list[AnyEvent]) -> None:
    """A job restarted with fewer of them takes its journal in again; readers drop what has a number they have had."""
    messages = [one for one in read(published(events)) if one.key == "sim:BTC-USD"][:2_000]
    many, few = (PipelineConfig(full_books_per_s=number) for number in (8.0, 1.0))
    before = run(partial(FeatureMachine, config=many), messages[:1_000])
    again = FeatureMachine("sim:BTC-USD", few)
    for message in messages[:1_000]:
        again.take(message)
    after = [one for message in messages[1_000:] for one in again.take(message)]
    whole = run(FeatureMachine, messages)
    assert [one for one in before + after if one.topic != "full-books"] == whole
    full = [one for one in before + after if one.topic == "full-books"]
    assert {one.headers.n for one in full} == {""}
    assert len({one.headers.g for one in full}) == len(full) > 20


def test_records_are_numbered_without_a_gap_in_each_chain(events: list[AnyEvent]) -> None:
    sent = cluster(published(events), 1)
    for _, group in groupby(sorted(sent, key=_chain), key=_chain):
        numbers = sorted(int(one.headers.n) for one in group)
        assert numbers == list(range(1, len(numbers) + 1))


def _chain(one: Outgoing) -> tuple[str, str]:
    return TOPICS[one.topic].chain, one.key


def test_a_message_that_cannot_be_read_is_dead_lettered_and_opens_a_gap(events: list[AnyEvent]) -> None:
    messages = read(published(events))
    at = next(i for i, one in enumerate(messages) if i > 2_000 and one.topic == "books")
    messages[at] = damaged(messages[at])
    sent = run(FeatureMachine, messages)
    (letter,) = [codec.decode(DeadLetter, one.value) for one in sent if one.topic == "dead-letters"]
    assert (letter.source, letter.payload) == (messages[at].place, messages[at].value)
    number = messages[at].headers.n
    states = [codec.decode(Status, one.value) for one in sent if one.topic == "status"]
    gaps = [one for one in states if one.state == "GAP"]
    assert [(one.seq, one.reason) for one in gaps] == [
        (int(number), f"events {number} to {number} were lost on the way here")
    ]
    whole = rows(run(FeatureMachine, read(published(events))))
    others = {place: values for place, values in rows(sent).items() if place[1] == "sim:ETH-USD"}
    assert others == {place: values for place, values in whole.items() if place[1] == "sim:ETH-USD"}


def test_what_never_comes_is_a_loss_once_it_is_given_up(events: list[AnyEvent]) -> None:
    messages = [one for one in read(published(events)) if one.key == "sim:BTC-USD"]
    lost = messages.pop(500)
    machine = FeatureMachine("sim:BTC-USD")
    before = [one for message in messages[:700] for one in machine.take(message)]
    assert machine.waits_for is not None
    assert machine.waits_for.missing == ("s", int(lost.headers.n))
    after = machine.give_up()
    assert machine.waits_for is None
    assert not [one for one in before if one.topic == "status" and b"GAP" in one.value]
    gaps = [codec.decode(Status, one.value) for one in after if one.topic == "status"]
    assert [(one.state, one.seq) for one in gaps] == [("GAP", int(lost.headers.n))]


def test_a_new_session_starts_cold_and_stragglers_of_the_old_one_are_dropped(events: list[AnyEvent]) -> None:
    first, second = published(events[:3_000], "one"), published(events, "two", START_MS + 10**6)
    for save_every in (0, 501):
        derived = run(FeatureMachine, read(first) + read(second) + read(first)[-9:], save_every)
        by_session = {name: [one for one in derived if one.headers.s == name] for name in ("one", "two")}
        assert rows(by_session["one"]) == rows(run(FeatureMachine, read(first)))
        assert rows(by_session["two"]) == rows(run(FeatureMachine, read(second)))
        assert len(by_session["one"]) + len(by_session["two"]) == len(derived)


def test_what_waits_for_a_session_that_does_not_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "MAX_AHEAD", 10)
    chain, told = sequencer.Sequencer(), list[sequencer.Ordered]()
    for session, numbers in (("one", [1, 2, 4]), ("two", range(1, 30))):
        for number in numbers:
            told += chain.push(Message("books", 0, number, 1, "v:A", Headers(s=session, n=str(number)), b""), number)
            waits = chain.waits_for
            assert waits is None or waits.held <= 10
    assert [one for one in told if not isinstance(one, Message)] == [
        sequencer.Begin("one"), sequencer.Loss(3, 3), sequencer.Begin("two"),
    ]  # fmt: skip
    places = [(one.headers.s, one.number) for one in told if isinstance(one, Message)]
    assert places == [("one", 1), ("one", 2), ("one", 4), *(("two", number) for number in range(1, 30))]


def test_in_a_universe_a_loss_of_one_session_is_not_held_up_by_the_waits_of_another() -> None:
    def prices(symbol: str, session: str) -> list[Message]:
        events = [Price("csv", symbol, i, i * 10**9, i * 10**9, 100.0 + i, 1.0) for i in range(1, 40)]
        return read(published(events, session))

    lossy, late = prices("A-USD", "lossy"), prices("B-USD", "late")
    machine, patience, gave_up = PortfolioMachine("auto"), Patience(), 0
    for i in range(30):
        machine.take(lossy[i if i < 5 else i + 1])
        machine.take(late[i ^ 1])  # each second one comes early, and is waited for until the next
        if patience.look(machine.waits_for):
            machine.give_up()
            gave_up += 1
    assert gave_up == 1
    assert machine.waits_for is None or machine.waits_for.missing[0] == "late"  # type: ignore[index]


def test_a_producer_that_goes_on_outlives_any_number_of_others() -> None:
    def price(session: str, number: int) -> Message:
        event = Price("csv", "A-USD", number, number, number, 100.0 + number, 1.0)
        sent = event_message(event, START_MS, Headers(s=session, g=str(number), u="auto"))
        return read([sent])[0]

    machine = PortfolioMachine("auto")
    for number in range(1, 2 * MOST_SESSIONS):
        machine.take(price("goes on", number))
        machine.take(price(f"started {number} times", 1))
        assert machine.waits_for is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"headers": Headers(v="9", n="1")}, "of contract version 9, this is 1: update Quicksilver"),
        ({"headers": Headers(v="x", n="1")}, "of contract version x"),
        ({"headers": Headers(v="9" * 5000, n="1")}, "of contract version 99999"),
        ({"headers": Headers(n="9" * 5000)}, "a header that is no number: '9999"),
        ({"headers": Headers(n="1"), "value": b"[" * (PAYLOAD_BYTES + 1), "ts_ms": -1}, "(the payload is the first "),
        ({"headers": Headers(), "value": b"[]"}, "not an event"),
        ({"key": "sim:X-USD", "headers": Headers()}, "an event of sim:BTC-USD under the key sim:X-USD"),
    ],
)
def test_foreign_messages_are_refused_with_a_sentence(
    events: list[AnyEvent], changes: dict[str, object], why: str
) -> None:
    first = next(one for one in read(published(events)) if one.key == "sim:BTC-USD")
    foreign = msgspec.structs.replace(first, **changes)
    machine = FeatureMachine(foreign.key)
    sent = [*machine.take(foreign), *machine.take(first)]
    letters = [codec.decode(DeadLetter, one.value) for one in sent if one.topic == "dead-letters"]
    assert [why in letters[0].reason, letters[0].source] == [True, foreign.place]


@pytest.fixture(scope="module")
def cards(events: list[AnyEvent]) -> list[Card]:
    histories = histories_of(events)
    return [card_of("fast", histories), card_of("fast", histories, code="2"), card_of("moves", histories, MOVES)]


def deployments(cards: list[Card]) -> list[Deployment]:
    first, second, moves = cards
    return [
        one
        for symbol in ("BTC-USD", "ETH-USD")
        for one in (
            Deployment("sim", symbol, "fast", first, (second,)), Deployment("sim", symbol, "moves", None, (moves,)),
        )
    ]  # fmt: skip


def sent_of(one: Deployment) -> Message:
    return read([outgoing(one, START_MS, Headers())])[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_deployed_predictors_say_in_the_jobs_what_they_say_in_one_process(
    events: list[AnyEvent], cards: list[Card], seed: int
) -> None:
    wanted = deployments(cards)
    truth = in_one_process(events, deployments=wanted)
    derived = run(FeatureMachine, apart(read(published(events)), seed))
    between = [one for one in derived if one.topic in DERIVED]
    messages = [*map(sent_of, wanted), *apart(read(between), seed + 1, 0.3)]
    found = rows(run(PredictionMachine, messages, 997, lambda one: one.instrument))
    assert found == {place: values for place, values in truth.items() if place[0] in {"predictions", "scores"}}
    said = [codec.decode(Prediction, value) for value in truth["predictions", "sim:BTC-USD"]]
    assert {(one.model, one.version, one.role) for one in said} == {
        ("softmax-online", "1", "online"), ("fast", cards[0].version, "live"), ("fast", cards[1].version, "shadow"),
        ("moves", cards[2].version, "shadow"),
    }  # fmt: skip
    scored = [codec.decode(Score, value) for value in truth["scores", "sim:BTC-USD"]]
    assert min(sum(one.version == card.version for one in scored) for card in cards) > 50


def test_deployments_are_swapped_while_it_runs_and_bad_ones_refused(events: list[AnyEvent], cards: list[Card]) -> None:
    derived = run(FeatureMachine, read(published(events)))
    messages = [one for one in read(derived) if one.topic in DERIVED and one.key == "sim:BTC-USD"]
    first, second, _ = cards
    swap = sent_of(Deployment("sim", "BTC-USD", "fast", second, (first,)))
    bad = sent_of(Deployment("sim", "BTC-USD", "fast", msgspec.structs.replace(second, data="other")))
    foreign = msgspec.structs.replace(swap, key="sim:BTC-USD/other")
    unknown = msgspec.structs.replace(swap, value=swap.value.replace(b'"imbalance_5"', b'"nothing"'))
    half = len(messages) // 2
    before = sent_of(Deployment("sim", "BTC-USD", "fast", first))
    sent = run(
        PredictionMachine, [before, *messages[:half], swap, bad, foreign, unknown, damaged(swap), *messages[half:]],
        300, lambda one: one.instrument,
    )  # fmt: skip
    letters = [codec.decode(DeadLetter, one.value) for one in sent if one.topic == "dead-letters"]
    assert [(one.source, one.venue, one.symbol) for one in letters] == [("deployments[0]@0", "sim", "BTC-USD")] * 4
    reasons = [
        "is damaged: its content", "of sim:BTC-USD/fast under the key sim:BTC-USD/other", "no feature 'nothing'",
        "not a Deployment",
    ]  # fmt: skip
    assert [why in letter.reason for letter, why in zip(letters, reasons, strict=True)] == [True] * 4
    own = [one for one in sent if one.topic != "dead-letters"]
    plain = run(PredictionMachine, messages)
    assert [one.value for one in own if b'"softmax-online"' in one.value] == [one.value for one in plain]
    assert [int(one.headers.n) for one in own] == list(range(1, len(own) + 1))
    alone = [one.value for one in run(PredictionMachine, [before, *messages], 0, lambda one: one.instrument)]
    kept = [one for one in own if first.version.encode() in one.value]
    assert [one.value.replace(b'"shadow"', b'"live"') for one in kept] == [
        value for value in alone if first.version.encode() in value
    ]
    assert {b'"role":"shadow"' in one.value for one in kept} == {True, False}


def test_what_a_stage_fails_on_costs_its_own_event_and_those_that_waited_for_it_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = [one for one in read(published(market(3, 400))) if one.key == "sim:BTC-USD"][:60]
    late, step = messages[20].number, InstrumentStage.step

    def fail(stage: InstrumentStage, event: AnyEvent) -> list[AnyRecord]:
        if event.seq == late and not isinstance(event, Gap):
            raise ZeroDivisionError("a case that nobody thought of")
        return step(stage, event)

    monkeypatch.setattr(InstrumentStage, "step", fail)
    machine = FeatureMachine("sim:BTC-USD")
    for message in (*messages[:20], *messages[21:]):
        machine.take(message)
    out = machine.take(messages[20])  # all later ones waited for it
    letters = [codec.decode(DeadLetter, one.value) for one in out if one.topic == "dead-letters"]
    assert [letter.reason for letter in letters] == ["ZeroDivisionError: a case that nobody thought of"]
    states = [codec.decode(Status, one.value).state for one in out if one.topic == "status"]
    assert "GAP" in states
    assert machine.waits_for is None
    assert machine.take(messages[-1]) == []  # known already: nothing was left undone


def test_state_of_another_machine_or_version_is_refused() -> None:
    machine = FeatureMachine("a:B-C")
    with pytest.raises(StateError, match="saved state of FeatureMachine 1 is not for PredictionMachine 2"):
        PredictionMachine("a:B-C").load(machine.dump())
    with pytest.raises(StateError, match="not a saved state of FeatureMachine"):
        machine.load(b"junk")
