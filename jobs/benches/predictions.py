"""One live prediction of each model, from a feature vector to its records, beside the library that fitted it.

The peer is ``predict_proba`` of the very pipeline that was exported; of models that go on learning, river's own, which
predicts and learns. Then: the nine as one ensemble, instruments that are due together one by one and in a batch, and
what a prediction adds to the message of the book that it comes with.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
from river.compose import Pipeline as RiverPipeline
from river.linear_model import SoftmaxRegression
from river.naive_bayes import GaussianNB
from river.preprocessing import StandardScaler
from river.tree import HoeffdingTreeClassifier

from jobs.benches.events import START_NS, busy_market
from jobs.benches.measure import Row, seconds, time_row
from quicksilver.config import PipelineConfig
from quicksilver.events import FloatArray
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import TrainingFrame, frame_of
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.fitting import fitted
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.training import trained
from quicksilver.learning.zoo import NINE
from quicksilver.models.applied import AppliedModel
from quicksilver.models.card import CARD_VERSION, Card, EnsembleCard
from quicksilver.models.deployed import predictor_of
from quicksilver.models.learner import ONLINE
from quicksilver.models.predictor import Predictor
from quicksilver.pipeline import InstrumentPipeline
from quicksilver.records import Features

N_TRAIN = 5_000  # examples, the most that nearest neighbours keep
N = 5_000  # predictions of ours
N_PEER = 300
N_EVENTS = 20_000
TOGETHER = 8  # instruments that are due at once
CONFIG = PredictorConfig(
    "lda", granularity="250ms", horizon="1s", datasetinputs=2, fee_bps=0.25,
    features=("imbalance_1", "imbalance_5", "imbalance_10", "spread_bps", "ofi_1s", "trade_imbalance_10s", "vpin"),
)  # fmt: skip
RIVER: dict[str, Callable[[], Any]] = {
    "online-logistic": SoftmaxRegression,
    "online-naive-bayes": GaussianNB,
    "online-tree": HoeffdingTreeClassifier,
}
P50, P99 = 50, 99


class _Costs(NamedTuple):
    """Microseconds of each call, ``(n,)``."""

    ours: FloatArray
    peer: FloatArray


def feature_rows(n: int, seed: int) -> list[Features]:
    """Return feature vectors of a market whose moves revert, all of them due."""
    rng = np.random.default_rng(seed)
    mids = 100.0 * np.exp(np.cumsum(np.convolve(rng.normal(0.0, 1e-4, n + 1), [1.0, -0.4], mode="valid")))
    values = rng.normal(size=(n, len(CONFIG.features)))
    empty = dict.fromkeys(Features.__struct_fields__[5:])
    found = []
    for row in range(n):
        ts_ns = START_NS + row * CONFIG.every_ns
        known = {**empty, "mid": float(mids[row]), **dict(zip(CONFIG.features, values[row].tolist(), strict=True))}
        found.append(Features("bench", "BTC-USD", row + 1, ts_ns, ts_ns, **known))
    return found


@cache
def _frame(n: int) -> TrainingFrame:
    return frame_of(HistoryBuilder(CONFIG.features).take_all(feature_rows(n, 1)).histories(), CONFIG)


@cache
def _card(name: str) -> Card:
    return trained(name, _frame(N_TRAIN), msgspec.structs.replace(CONFIG, type=name), "bench")


def microseconds(work: Callable[[Any], Any], items: Iterable[Any]) -> FloatArray:
    """Return what each call takes, ``(n,)``."""
    taken = []
    for item in items:
        started = time.perf_counter_ns()
        work(item)
        taken.append((time.perf_counter_ns() - started) / 1e3)
    return np.array(taken)


def _costs(names: Sequence[str]) -> _Costs:
    """What a due row costs, with the score of an outcome that is known by then, and what the peers take for as much.

    Several are an ensemble, weighted by how they did of late.
    """
    later = feature_rows(N + N // 10, 2)
    card = _card(names[0]) if len(names) == 1 else _ensemble(names)
    predictor = predictor_of(card, "bench", "BTC-USD")
    microseconds(predictor.take, later[: N // 10])
    peers = [_peer(name) for name in names]
    return _Costs(
        microseconds(predictor.take, later[N // 10 :]),
        microseconds(lambda row: [peer(row) for peer in peers], _frame(N_TRAIN).inputs[-N_PEER:]),
    )


def _ensemble(names: Sequence[str]) -> EnsembleCard:
    config = EnsembleConfig(tuple(Member(name) for name in names), weights="recent")
    members = tuple(_card(name) for name in names)
    card = EnsembleCard("all", "", CARD_VERSION, config, members, None, "bench", "bench")
    return msgspec.structs.replace(card, version=card.content())


def _peer(name: str) -> Callable[[FloatArray], object]:
    if name in ONLINE:
        return _river(name)
    model = fitted(_frame(N_TRAIN), msgspec.structs.replace(CONFIG, type=name))
    return lambda row: model.predict_proba(row[None])


def _river(name: str) -> Callable[[FloatArray], None]:
    """A pipeline of river's, which has learned from the frame, at work: it predicts a row and learns from it."""
    frame, model = _frame(N_TRAIN), RiverPipeline(StandardScaler(), RIVER[name]())
    outcomes = iter(np.resize(frame.directions(CONFIG.threshold_bps), 2 * frame.n).tolist())

    def both(row: FloatArray) -> None:
        x = dict(zip(frame.names, row.tolist(), strict=True))
        model.predict_proba_one(x)
        model.learn_one(x, next(outcomes))

    for row in frame.inputs:
        both(row)
    return both


def _each() -> Iterable[Row]:
    for names in (*((name,) for name in (*NINE, *ONLINE)), NINE):
        costs = _costs(names)
        name = names[0] if len(names) == 1 else f"ensemble of the {len(names)}"
        peer = "river: predict and learn" if names[0] in ONLINE else "scikit-learn's predict_proba"
        for percentile in (P50, P99):
            ours, theirs = (float(np.percentile(one, percentile)) for one in costs)
            what = f"one live prediction, {name}, p{percentile}"
            yield time_row(what, "us", ours, f"{peer}, p{percentile}", theirs)


def _together() -> Iterable[Row]:
    """Instruments that are due at once: their rows one by one, and in one call."""
    for name in ("random-forest", "nearest-neighbours", "lda"):
        model = AppliedModel(_card(name).unpacked())
        rows = _frame(N_TRAIN).inputs[-TOGETHER:].astype(np.float32)

        def one_by_one(model: AppliedModel = model, rows: Any = rows) -> None:
            """Apply the model to each row, as the live path does."""
            for row in range(TOGETHER):
                model.raw(rows[row : row + 1])

        def in_a_batch(model: AppliedModel = model, rows: Any = rows) -> None:
            """Apply it to all of them."""
            model.raw(rows)

        single, batch = seconds(one_by_one, in_a_batch)
        what = f"{TOGETHER} rows due at once, {name}: one by one"
        yield time_row(what, "us", single * 1e6, "in one batch", batch * 1e6)


def _beside_the_book() -> Iterable[Row]:
    """What a predictor takes of a feature vector that is due, beside others, and beside its message of the book."""
    events = [one for one in busy_market("bench", N_EVENTS) if one.symbol == "BTC-USD"]
    pipeline = InstrumentPipeline("bench", "BTC-USD", PipelineConfig(portfolios=()))
    predictor = Predictor(_card("random-forest"), "bench", "BTC-USD")
    messages: list[float] = []
    taken: dict[bool, list[float]] = {True: [], False: []}  # by whether there was something to say
    for event in events:
        started = time.perf_counter_ns()
        records = pipeline.step(event)
        messages.append((time.perf_counter_ns() - started) / 1e3)
        for row in records:
            if isinstance(row, Features):
                started = time.perf_counter_ns()
                said = predictor.take(row)
                taken[bool(said)].append((time.perf_counter_ns() - started) / 1e3)
    for percentile in (P50, P99):
        due, not_due, message = (float(np.percentile(one, percentile)) for one in (taken[True], taken[False], messages))
        what = f"a predictor on a row that is due, random-forest, p{percentile}"
        for peer, theirs in (("on one that is not", not_due), ("the book's message itself", message)):
            yield time_row(what, "us", due, f"{peer}, p{percentile}", theirs)


def rows() -> Iterable[Row]:
    """Return the rows of all models."""
    yield from _each()
    yield from _together()
    yield from _beside_the_book()
