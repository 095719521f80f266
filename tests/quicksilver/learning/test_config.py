"""Predictors as their users write them."""

import msgspec
import pytest

from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS
from quicksilver.features.spec import FEATURES as SPECS
from quicksilver.learning.config import FEATURES, PredictorConfig
from quicksilver.learning.config_file import read_predictors
from quicksilver.learning.ensemble_config import EnsembleConfig, Member, lead_of
from quicksilver.spans import span_ns

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
horizon = "300s"

[ensembles.both]
members = [{predictor = "near", weight = 2}, {predictor = "line"}]
confidence = 0.5
"""


def test_a_file_of_predictors_and_an_ensemble() -> None:
    found = read_predictors(FILE, "p.toml")
    near = found.predictors["near"]
    assert (near.every_ns, near.horizon_ns) == (60 * SECOND_NS, 300 * SECOND_NS)
    assert near.inputs == ("move_1_bps", "move_2_bps", "move_3_bps", "imbalance_5")
    later = msgspec.structs.replace(near, datasetinputs=0, features=("imbalance_5", "vpin"), sequence=3)
    assert later.inputs == ("imbalance_5", "vpin", "imbalance_5@1", "vpin@1", "imbalance_5@2", "vpin@2")
    assert near.wants("kraken", "BTC-USD")
    assert not near.wants("kraken", "ETH-USD")
    assert found.predictors["line"].horizon_ns == 300 * SECOND_NS
    assert [(one.predictor, one.weight) for one in found.ensembles["both"].members] == [("near", 2.0), ("line", 1.0)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b'"1m"', b'"1 minute"'), "'1 minute' is no span of time: write 250ms, 5s, 1m, 1h or 1d"),
        ((b'"imbalance_5"', b'"imbalance_6"'), "there is no feature 'imbalance_6'"),
        ((b"datasetinputs = 3", b"datasetinputs = -1"), "datasetinputs = -1: give 0 to 1000 moves"),
        (
            (b"datasetinputs = 3", b"sequence = 0"),
            "sequence = 0: give 1 to 500 decisions, and features to give of each",
        ),
        (
            (b'features = ["imbalance_5"]', b"sequence = 4"),
            "sequence = 4: give 1 to 500 decisions, and features to give of each",
        ),
        ((b"datasetinputs", b"dataset_inputs"), "unknown field `dataset_inputs`"),
        ((b'{predictor = "line"}', b'{predictor = "lien"}'), "ensemble both: there is no predictor lien"),
        ((b'{predictor = "line"}', b'{predictor = "near"}'), "predictor near stands twice in it: give it once"),
        ((b"weight = 2", b"weight = 0"), "the weight of near is 0: give one above 0, or leave it out"),
        ((b"weight = 2", b"weight = inf"), "the weight of near is inf: give one above 0"),
        ((b"weight = 2", b"weight = nan"), "the weight of near is nan: give one above 0"),
        ((b"confidence = 0.5", b"confidence = 1.5"), "confidence = 1.5: give a probability, 0 to 1"),
        ((b"confidence = 0.5", b"confidence = nan"), "confidence = nan: give a probability, 0 to 1"),
        ((b"confidence = 0.5", b"stacking = true"), "stacking learns how to weigh its members: leave out weights"),
        ((b"confidence = 0.5", b'half_life = "5m"'), 'half_life is of recent scores: give weights = "recent" too'),
        (
            (b"confidence = 0.5", b'weights = "recent"\nhalf_life = "soon"'),
            "'soon' is no span of time: write 250ms, 5s, 1m, 1h or 1d",
        ),
        ((b"confidence = 0.5", b'weights = "best"'), "Invalid enum value 'best'"),
        (
            (b'horizon = "300s"', b""),
            "ensemble both: line has another horizon than near: what members predict has to mean the same",
        ),
        ((b'horizon = "300s"', b'horizon = "5m"\nfee_bps = 1'), "ensemble both: line has another fee_bps than near"),
        (
            (b'"logistic"\nhorizon', b'"linear"\ntarget = "return"\nhorizon'),
            "ensemble both: line has another target than near",
        ),
        (
            (b'horizon = "300s"', b'horizon = "5m"\nsymbols = ["ETH-USD"]'),
            "ensemble both: its members have no symbol in common",
        ),
        ((b"[ensembles.both]", b"[ensembles.line]"), "line is the name of a predictor and of an ensemble"),
        ((b'{predictor = "near", weight = 2}, {predictor = "line"}', b""), "there is no predictor in it"),
        ((b"[predictors.near]", b"[predictors.near"), "p.toml: "),
        ((b"[predictors.near]", b'[predictors."../near"]'), "'../near' is no name"),
        ((b"[predictors.near]", b"\xff\x80"), "no TOML file: it is no text, from byte "),
        ((b'type = "logistic"', b"seed = 1"), "p.toml: predictor line: Object missing required field `type`"),
        ((b'horizon = "300s"', b"granularity = 5"), "p.toml: predictor line: Expected `str`, got `int`"),
        ((b"confidence = 0.5", b"stacking = 1"), "p.toml: ensemble both: Expected `bool`, got `int`"),
        ((b"datasetinputs = 3", b"minutes_back = nan"), "predictor near: minutes_back = nan: give 0 to 5,270,400"),
        ((b"datasetinputs = 3", b"minutes_back = inf"), "minutes_back = inf: give 0 to "),
        ((b"datasetinputs = 3", b"minutes_back = -1"), "minutes_back = -1.0: give 0 to "),
        ((b"datasetinputs = 3", b"fee_bps = nan"), "fee_bps = nan: give 0 to 1,000,000"),
        ((b"datasetinputs = 3", b"fee_bps = inf"), "fee_bps = inf: give 0 to 1,000,000"),
        ((b"datasetinputs = 3", b"seed = -1"), "seed = -1: give 0 to 4,294,967,295"),
        ((b"datasetinputs = 3", b"seed = 4294967296"), "seed = 4294967296: give 0 to 4,294,967,295"),
        ((b'["imbalance_5"]', b'["venue"]'), "there is no feature 'venue'"),
        ((b'["imbalance_5"]', b'["ts_event_ns"]'), "there is no feature 'ts_event_ns'"),
        ((b'["imbalance_5"]', b'["vpin", "vpin"]'), "feature vpin stands twice in it: give it once"),
        ((b'"5m"', b'"1000000d"'), "'1000000d' is too long a span of time: 3660d is the most"),
        ((b'"1m"', b'"' + b"9" * 400 + b'd"'), "is too long a span of time: 3660d is the most"),
        ((b"weight = 2", b"weight = 1e308"), "the weight of near is 1e+308: give 1e-06 to 1e+06"),
        ((b"[predictors.near]", b"x = " + b"[" * 5_000), "its tables or lists are nested too deeply"),
    ],
)
def test_what_cannot_be_used_is_named(change: tuple[bytes, bytes], said: str) -> None:
    with pytest.raises(InputError) as error:
        read_predictors(FILE.replace(*change), "p.toml")
    assert str(error.value).startswith("p.toml: ")
    assert said in str(error.value)


@pytest.mark.parametrize("toml", [b"", b"[predictors]", b"[retraining]\ndrift = true"])
def test_a_file_without_a_predictor_is_refused(toml: bytes) -> None:
    with pytest.raises(InputError, match=r"^p.toml: there is no predictor in it: add a table \[predictors.NAME\]"):
        read_predictors(toml, "p.toml")


def test_what_editors_of_windows_write_is_read() -> None:
    assert read_predictors(b"\xef\xbb\xbf" + FILE.replace(b"\n", b"\r\n"), "p.toml") == read_predictors(FILE, "p.toml")


def test_a_feature_is_what_the_specs_name() -> None:
    assert tuple(spec.name for spec in SPECS) == FEATURES


@pytest.mark.parametrize("text", ["", "0s", "5", "5w", "-1s", "1e3s"])
def test_spans_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="no span of time"):
        span_ns(text)


def test_an_ensemble_decides_with_its_finest_member_that_looks_back_least() -> None:
    spans = [("1m", 5), ("10s", 3), ("10s", 2), ("10s", 2), ("30s", 1)]
    assert lead_of([PredictorConfig("lda", granularity=span, datasetinputs=back) for span, back in spans]) == 2


def test_the_half_life_is_of_outcomes_that_do_not_overlap_unless_given() -> None:
    lead = PredictorConfig("lda", granularity="1m", horizon="5m")
    members = (Member("a"),)
    assert EnsembleConfig(members, weights="recent").half_life_ns(lead) == 200 * 300 * SECOND_NS
    assert EnsembleConfig(members, weights="recent", half_life="1h").half_life_ns(lead) == 3_600 * SECOND_NS
    assert lead.uniqueness == 0.2
    assert PredictorConfig("lda", granularity="5m", horizon="1m").uniqueness == 1.0
