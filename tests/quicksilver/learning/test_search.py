"""A grid becomes candidates in a defined order, each known by all that its result depends on."""

import re

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from quicksilver.errors import InputError
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.results import MODEL
from quicksilver.learning.search import Candidate, SearchConfig, candidates, outcome, read_search
from quicksilver.learning.validation import validated
from quicksilver.learning.walking import walk
from tests.searches import CONFIG, MINUTE_NS, histories, history

FEATURES = ("rsi_14", "momentum_bps")


def ids(config: SearchConfig = CONFIG, code: str = "c", n_features: int = 0, eth_seed: int = 1) -> list[str]:
    data = histories(n_features)
    data[1] = history("ETH-USD", eth_seed, n_features)
    return [one.id for one in candidates(config, data, code)]


def test_every_combination_is_there_once_in_a_defined_order() -> None:
    found = candidates(CONFIG, histories(), "c")
    assert [
        (one.instruments, one.config.granularity, one.config.datasetinputs, one.config.type) for one in found
    ] == [
        ((f"test:{symbol}",), granularity, n, name)
        for symbol in ("BTC-USD", "ETH-USD")
        for granularity in ("1m", "2m")
        for n in (1, 2)
        for name in ("lda", "naive-bayes")
    ]  # fmt: skip
    assert len({one.id for one in found}) == 16
    assert [one.id for one in candidates(CONFIG, histories()[::-1], "c")] == [one.id for one in found]


def test_the_same_thing_written_twice_is_tried_once() -> None:
    twice = replace(CONFIG, horizons=("", "1m", "60s"), types=("lda", "lda"), granularities=("1m",))
    assert [one.config.horizon for one in candidates(twice, histories(), "c")] == [""] * 4


def test_a_combination_without_inputs_is_none() -> None:
    some = replace(CONFIG, datasetinputs=(0, 1), features=((), FEATURES[:1]), types=("lda",), granularities=("1m",))
    found = candidates(some, histories(1), "c")
    assert [(one.config.datasetinputs, one.config.features) for one in found] == 2 * [
        (1, ()), (0, FEATURES[:1]), (1, FEATURES[:1]),
    ]  # fmt: skip
    with pytest.raises(InputError, match="nothing to try: each combination needs datasetinputs above 0"):
        candidates(replace(CONFIG, datasetinputs=(0,)), histories(), "c")


def test_sets_of_symbols_are_a_predictor_each() -> None:
    sets = replace(CONFIG, symbols=((), ("ETH-USD",)), types=("lda",), granularities=("1m",), datasetinputs=(1,))
    found = candidates(sets, histories(), "c")
    assert [one.instruments for one in found] == [("test:BTC-USD", "test:ETH-USD"), ("test:ETH-USD",)]
    for wrong in (replace(sets, symbols=(("XRP-USD",),)), replace(sets, venues=("kraken",))):
        with pytest.raises(InputError, match=r"hold no (XRP-USD|kraken); there is test:BTC-USD, test:ETH-USD"):
            candidates(wrong, histories(), "c")
    with pytest.raises(InputError, match="hold no kraken; there is test:BTC-USD"):
        candidates(replace(CONFIG, venues=("kraken",)), histories(), "c")


def test_an_id_changes_with_all_that_the_result_depends_on_and_with_nothing_else() -> None:
    known = ids()
    assert ids() == known
    for others in (ids(code="d"), ids(replace(CONFIG, folds=3)), ids(replace(CONFIG, fee_bps=2.0))):
        assert not set(others) & set(known)
    changed = ids(eth_seed=9)
    assert changed[:8] == known[:8]
    assert not set(changed[8:]) & set(known)
    more = replace(CONFIG, features=((), FEATURES), granularities=("1m", "2m", "3m"))
    assert set(known) < set(ids(more, n_features=2)), "a larger grid finds what was there"


def test_an_id_depends_on_the_columns_that_are_used() -> None:
    config = replace(CONFIG, features=(FEATURES[:1], FEATURES), types=("lda",), granularities=("1m",), symbols=((),))
    data = histories(2)
    other = [one._replace(values=one.values * [1.0, 2.0]) for one in data]
    before, after = candidates(config, data, "c"), candidates(config, other, "c")
    same = [a.id == b.id for a, b in zip(before, after, strict=True)]
    assert same == [one.config.features == FEATURES[:1] for one in before]


def test_a_result_is_what_a_walk_of_that_predictor_alone_gives() -> None:
    config = replace(CONFIG, features=(FEATURES[1:],), types=("lda",), granularities=("1m",), datasetinputs=(1,))
    data = histories(2)
    one = candidates(replace(config, features=(FEATURES[::-1], FEATURES[1:])), data, "c")[-1]
    found = outcome(one, data, FEATURES)
    alone = [data[1]._replace(values=data[1].values[:, 1:])]
    assert found.why == ""
    assert found.validation == validated(walk(frame_of(alone, one.config), one.config, starts_ns=one.starts_ns), 0)
    assert found.validation.track is not None
    assert found.validation.track.n > 100
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


def test_all_minutes_back_are_judged_by_the_same_periods() -> None:
    config = replace(
        CONFIG, types=("lda",), granularities=("1m",), datasetinputs=(1,), minutes_back=(0.0, 220.0, 300.0)
    )
    data = histories()[:1]
    found = [outcome(one, data, ()).validation for one in candidates(config, data, "c")]
    assert len({(one.n + one.flagged, one.start_ns, one.end_ns, one.folds) for one in found if one}) == 1
    assert len({one.scores[MODEL]["log_loss"].value for one in found if one}) == 3


def test_all_are_judged_by_the_same_periods_however_rarely_they_decide() -> None:
    """Of decisions in five minutes there are too few to learn from before the first of three periods, or the second."""
    config = replace(
        CONFIG, types=("lda",), granularities=("1m", "5m"), datasetinputs=(1, 40), folds=3, symbols=((), ("ETH-USD",))
    )
    data = [history("BTC-USD", 0, n=2_000), history("ETH-USD", 1, n=2_000)]
    starts_ns = [minute * MINUTE_NS for minute in (500, 1_000, 1_500)]
    some = candidates(config, data, "c")
    assert len(some) == 8
    for one in some:
        found = outcome(one, data, ()).validation
        assert found is not None
        assert found.folds == (3 if one.config.granularity == "1m" else len(one.instruments))
        assert found.start_ns == starts_ns[-found.folds]
        assert 2_000 - 12 < found.end_ns / MINUTE_NS < 2_000


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"granularity": "30m"}, r"\d+ examples are too few to predict any"),
        ({"fee_bps": 1e6}, "all .* outcomes are flat"),
        ({"features": FEATURES[1:]}, "input momentum_bps is 1 in all of .* examples"),
        ({"parameters": {"solver": "nonsense"}}, "The 'solver' parameter of .* must be a str among"),
        ({"parameters": {"colour": "red"}}, "unexpected keyword argument 'colour'"),
    ],
)  # fmt: skip
def test_what_fails_is_a_result(changed: dict[str, object], why: str) -> None:
    data = [one._replace(values=np.ones((len(one.mid), 2))) for one in histories()]
    one = candidates(replace(CONFIG, features=(FEATURES,)), data, "c")[0]
    config = replace(one.config, **{"features": (), **changed})
    found = outcome(Candidate("id", config, 2, one.instruments, "", ""), data, FEATURES)
    assert found.validation is None
    assert re.search(why, found.why), found.why


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ("", "missing required field `search`"),
        ("[search", "x.toml: "),
        ("[search]\ntypes = []", "types is empty: there is nothing to try"),
        ("[search]\ntypes = ['oracle']", "there is no predictor type 'oracle'"),
        ("[search]\ntypes = ['linear']", "a linear predictor has no target 'direction'"),
        ("[search]\ngranularities = ['1x']", "'1x' is no span of time"),
        ("[search]\nfeatures = [['colour']]", "there is no feature 'colour'"),
        ("[search]\nfolds = 1", "folds = 1: give 2 to 100"),
        ("[search]\nminutes_back = [nan]", "minutes_back = nan: give 0 to "),
        ("[search]\nseed = -1", "seed = -1: give 0 to "),
        ("[search]\nx = " + "[" * 5_000, "its tables or lists are nested too deeply"),
        ("[search]\nfold = 3", "unknown field `fold`"),
        ("[search]\nsymbols = 'all'", "Invalid enum value 'all'"),
        ("[search.parameters.lda]\nx = 1\n[search]\ntypes = ['qda']", "x.toml: "),
        ("[search]\ntypes = ['qda']\nparameters.lda.x = 1", "parameters.lda: it is none of the types qda"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(toml: str, why: str) -> None:
    with pytest.raises(InputError, match=r"x\.toml: ") as refused:
        read_search(toml.encode(), "x.toml")
    assert why in str(refused.value)
