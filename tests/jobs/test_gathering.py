"""Several sources read once for several predictors: each gets its instruments, its features and its span."""

from pathlib import Path

import numpy as np
import pytest

from jobs.choices import Span
from jobs.gathering import Gathered, gathered
from producers.exchanges.base import ignore
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import FeatureHistory
from tests.jobs.prices import csv_of

RSI = PredictorConfig("lda", features=("rsi_14",))
BOTH = PredictorConfig("lda", features=("momentum_bps", "rsi_14"), symbols=("BTC-USD",))


def test_features_are_read_once_and_given_in_each_ones_order(tmp_path: Path) -> None:
    files = [str(csv_of(tmp_path / f"{name}.csv", 60, seed=seed)) for seed, name in ((1, "BTC-USD"), (2, "ETH-USD"))]
    found = gathered(files, [RSI, BOTH], ignore)
    assert found.features == ("rsi_14", "momentum_bps")
    assert [one.symbol for one in found.of(RSI)] == ["BTC-USD", "ETH-USD"]
    (bitcoin,) = found.of(BOTH)
    assert np.array_equal(bitcoin.values[:, 1], found.of(RSI)[0].values[:, 0], equal_nan=True)
    assert np.nanstd(bitcoin.values[:, 0]) > 0.0


def test_parts_of_one_instrument_are_put_in_order_of_time_with_a_break_between(tmp_path: Path) -> None:
    lines = csv_of(tmp_path / "BTC-USD.csv", 100).read_text().splitlines()
    for name, some in (("b", lines[1:61]), ("a", lines[61:])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "BTC-USD.csv").write_text("\n".join([lines[0], *some]) + "\n")
    (joined,) = gathered([str(tmp_path / name / "BTC-USD.csv") for name in "ab"], [], ignore).histories
    assert (np.diff(joined.ts_ns) > 0).all()
    assert np.flatnonzero(joined.fresh).tolist() == [0, 60]


def test_a_span_of_time_and_what_is_not_there() -> None:
    fresh, spread_bps = np.arange(5) == 0, np.arange(5) / 10
    history = FeatureHistory("v", "A-B", np.arange(5), np.ones(5), np.zeros((5, 1)), fresh, spread_bps)
    data = Gathered(("rsi_14",), [history])
    (found,) = data.of(RSI, Span(1, 3))
    assert [len(column) for column in found[2:]] == [2, 2, 2, 2, 2]
    assert found.spread_bps.tolist() == [0.1, 0.2]
    with pytest.raises(InputError, match="nothing lies between --since and --until"):
        data.of(RSI, Span(7, 9))
    wanted = PredictorConfig("lda", venues=("w",), symbols=("A-B", "C-D"))
    with pytest.raises(InputError, match="no instrument of venues w and symbols A-B, C-D; there is v:A-B"):
        data.of(wanted)
    with pytest.raises(InputError, match="no instrument of any venue; there is none"):
        Gathered((), []).of(PredictorConfig("lda"))
