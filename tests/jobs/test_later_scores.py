"""A kept version on later data: only they judge it, and it shows where they are not as expected."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.feature_histories import histories_of
from jobs.later_scores import later_table, scored_later
from jobs.registry import Entry, Registry
from jobs.training import train_predictor
from producers.exchanges.base import ignore
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.scores import MEASURES

CONFIG = PredictorConfig("lda", granularity="1m", datasetinputs=1, fee_bps=0.5)
START_S = 1_700_000_000
N, KNOWN = 3_000, 2_000


def prices(path: Path, rows: range, after: float) -> Path:
    """Prices of minutes whose moves follow the one before by -0.6, and from row ``KNOWN`` on by ``after``."""
    rng, moves = np.random.default_rng(5), [0.0]
    for row in range(1, N):
        moves.append((-0.6 if row < KNOWN else after) * moves[-1] + 2e-4 * rng.normal())
    series = (100.0 * np.exp(np.cumsum(moves))).tolist()
    path.write_text("time,close\n" + "".join(f"{START_S + 60 * row},{series[row]!r}\n" for row in rows))
    return path


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    known = prices(tmp_path / "BTC-USD.csv", range(KNOWN), -0.6)
    return train_predictor("near", CONFIG, histories_of(str(known), (), ignore), Registry(tmp_path / "models"))


def test_only_what_is_later_judges_it(entry: Entry, tmp_path: Path) -> None:
    found = scored_later(entry, [str(prices(tmp_path / "BTC-USD.csv", range(N), -0.6))])
    assert found.start_ns >= entry.card.end_ns + CONFIG.horizon_ns  # type: ignore[union-attr]
    assert N - KNOWN - 10 < found.n < N - KNOWN
    assert found.measures.keys() == MEASURES.keys()
    assert all(one.within for one in found.measures.values())
    assert found.measures["accuracy"].value > found.measures["accuracy"].baselines["majority"] + 0.1


def test_a_market_that_has_turned_shows(entry: Entry, tmp_path: Path) -> None:
    turned = prices(tmp_path / "BTC-USD.csv", range(N), 0.6)
    assert not scored_later(entry, [str(turned)]).measures["accuracy"].within
    run = ["models", "score", "near", str(turned), "--models", str(tmp_path / "models")]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 1, result.output
    assert "NO" in result.output
    told = msgspec.json.decode(result.output.splitlines()[-1])
    assert (told["version"], told["measures"]["accuracy"]["within"]) == (entry.card.version, False)


TOML = """
[predictors.near]
type = "lda"
datasetinputs = 1
fee_bps = 0.5
[predictors.wide]
type = "naive-bayes"
granularity = "2m"
horizon = "1m"
datasetinputs = 2
fee_bps = 0.5
[ensembles.both]
members = [{predictor = "near", weight = 2.0}, {predictor = "wide"}]
"""


def test_an_ensemble_is_judged_as_a_whole(tmp_path: Path) -> None:
    known = prices(tmp_path / "BTC-USD.csv", range(KNOWN), -0.6)
    (tmp_path / "p.toml").write_text(TOML)
    models = ["--models", str(tmp_path / "models")]
    trained = CliRunner().invoke(app, ["train", str(tmp_path / "p.toml"), str(known), "--only", "both", *models])
    assert trained.exit_code == 0, trained.output
    for after, code in ((-0.6, 0), (0.6, 1)):
        later = prices(tmp_path / "BTC-USD.csv", range(N), after)
        result = CliRunner().invoke(app, ["models", "score", "both", str(later), *models])
        assert result.exit_code == code, result.output
        told = msgspec.json.decode(result.output.splitlines()[-1])
        assert (told["name"], told["measures"]["accuracy"]["within"]) == ("both", code == 0)
        assert N - KNOWN - 10 < told["n"] < N - KNOWN
    same = CliRunner().invoke(app, ["models", "score", "both", str(prices(known, range(KNOWN), -0.6)), *models])
    assert same.exit_code == 2
    assert "0 decisions are later than what both" in same.output


def test_what_is_flagged_judges_nobody_and_is_said(entry: Entry, tmp_path: Path) -> None:
    later = prices(tmp_path / "BTC-USD.csv", range(N), -0.6)
    usual = scored_later(entry, [str(later)])
    lines = later.read_text().splitlines()
    time, price = lines[2_501].split(",")
    lines[2_501] = f"{time},{2.0 * float(price)}"
    later.write_text("\n".join(lines))
    found = scored_later(entry, [str(later)])
    assert (usual.flagged, found.flagged) == (0, 2), "there and back"
    assert found.n == usual.n - 2
    title = str(later_table(entry, found).title)
    assert title.endswith("; 2 more were flagged as out of range, and nothing predicted from them")
    assert title.count("flagged") == 1


def test_without_later_data_it_is_said(entry: Entry, tmp_path: Path) -> None:
    same = prices(tmp_path / "BTC-USD.csv", range(KNOWN), -0.6)
    with pytest.raises(InputError, match=r"0 decisions are later than what near [0-9a-f]+ learned from; at least"):
        scored_later(entry, [str(same)])
