"""Predictors as their users write them."""

import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.learning.config import read_predictors, span_ns

FILE = b"""
[predictors.near]
type = "nearest-neighbours"
granularity = "1m"
horizon = "5m"
datasetinputs = 3
features = ["imbalance_5"]
symbols = ["BTC-USD"]
parameters = {n_neighbors = 20}

[predictors.line]
type = "logistic"

[ensembles.both]
members = [{predictor = "near", weight = 2}, {predictor = "line"}]
confidence = 0.5
"""


def test_a_file_of_predictors_and_an_ensemble() -> None:
    found = read_predictors(FILE, "p.toml")
    near = found.predictors["near"]
    assert (near.every_ns, near.horizon_ns) == (60 * SECOND_NS, 300 * SECOND_NS)
    assert near.inputs == ("move_1_bps", "move_2_bps", "move_3_bps", "imbalance_5")
    assert near.wants("kraken", "BTC-USD")
    assert not near.wants("kraken", "ETH-USD")
    assert found.predictors["line"].horizon_ns == 60 * SECOND_NS
    assert [(one.predictor, one.weight) for one in found.ensembles["both"].members] == [("near", 2.0), ("line", 1.0)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b'"1m"', b'"1 minute"'), "'1 minute' is no span of time: write 250ms, 5s, 1m or 1h"),
        ((b'"imbalance_5"', b'"imbalance_6"'), "there is no feature 'imbalance_6'"),
        ((b"datasetinputs = 3", b"datasetinputs = -1"), "datasetinputs = -1: give 0 to 1000 moves"),
        ((b"datasetinputs", b"dataset_inputs"), "unknown field `dataset_inputs`"),
        ((b'{predictor = "line"}', b'{predictor = "lien"}'), "ensemble both: there is no predictor lien"),
        ((b"[predictors.near]", b"[predictors.near"), "p.toml: "),
        ((b"[predictors.near]", b'[predictors."../near"]'), "'../near' is no name"),
        ((b"[ensembles.both]", b"[ensembles.line]"), "line is the name of a predictor and of an ensemble"),
        ((b'type = "logistic"', b"seed = 1"), "missing required field `type`"),
    ],
)
def test_what_cannot_be_used_is_named(change: tuple[bytes, bytes], said: str) -> None:
    with pytest.raises(InputError) as error:
        read_predictors(FILE.replace(*change), "p.toml")
    assert str(error.value).startswith("p.toml: ")
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["", "0s", "5", "5d", "-1s", "1e3s"])
def test_spans_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="no span of time"):
        span_ns(text)
