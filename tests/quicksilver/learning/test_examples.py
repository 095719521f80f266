"""The commented examples are files that can be used, name every field, and tell no default that is none."""

import re
from pathlib import Path

import pytest

from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.config_file import read_predictors
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.learning.search import SearchConfig, read_search
from quicksilver.learning.zoo import NINE, ZOO

EXAMPLES = Path(__file__).parents[3] / "examples"
DEFAULT = re.compile(r"^# (?=\w+ = )", re.MULTILINE)
READERS = {"predictors.toml": read_predictors, "search.toml": read_search}


def text_of(name: str) -> str:
    return (EXAMPLES / name).read_text()


@pytest.mark.parametrize(("name", "n"), [("predictors.toml", 16), ("search.toml", 10)])
def test_what_stands_in_comments_is_the_default(name: str, n: int) -> None:
    """With all of it written out the file says the same."""
    text = text_of(name)
    written_out, found = DEFAULT.subn("", text)
    assert found == n
    assert READERS[name](written_out.encode(), name) == READERS[name](text.encode(), name)


@pytest.mark.parametrize(
    ("name", "struct"),
    [
        ("predictors.toml", PredictorConfig), ("predictors.toml", EnsembleConfig), ("predictors.toml", Member),
        ("predictors.toml", RetrainingConfig), ("search.toml", SearchConfig),
    ],
)  # fmt: skip
def test_every_field_is_explained(name: str, struct: type[PredictorConfig]) -> None:
    assert [one for one in struct.__struct_fields__ if not re.search(rf"\b{one} = ", text_of(name))] == []


def test_defaults_that_are_told_beside_another_value_are_the_real_ones() -> None:
    file, search = read_predictors(text_of("predictors.toml").encode(), ""), SearchConfig()
    assert PredictorConfig("lda").granularity == "1m"
    assert PredictorConfig("lda").horizon_ns == PredictorConfig("lda").every_ns
    assert PredictorConfig("lda").features == ()
    assert (Member("a").weight, EnsembleConfig((Member("a"),)).confidence) == (1.0, 0.0)
    assert (RetrainingConfig(every="1h").drift, RetrainingConfig(drift=True).every_ns) == (False, None)
    assert (search.types, search.granularities, search.datasetinputs) == (NINE, ("1m",), (2,))
    assert all(name in text_of("predictors.toml") for name in ZOO)
    assert file.ensembles.keys() == {"both"}
