"""A kept version on later data: only they judge it, and it shows where they are not as expected."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from jobs.choices import Span
from jobs.cli import app
from jobs.feature_histories import histories_of
from jobs.later_scores import judgement, later_table, scored_later
from jobs.registry import Registry
from jobs.tape_letters import Letters
from jobs.training import entries_of, task_of
from producers.exchanges.base import ignore
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.entry import Entry
from quicksilver.learning.results import MODEL
from quicksilver.learning.scores import LEVEL, MEASURES
from quicksilver.learning.tasks import trained_and_judged

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
    registry, task = Registry(tmp_path / "models"), task_of("near", CONFIG, histories_of(str(known), (), ignore))
    ((entry, _),) = entries_of([trained_and_judged(task)], registry)
    registry.add(entry)
    return entry


def test_only_what_is_later_judges_it(entry: Entry, tmp_path: Path) -> None:
    found = scored_later(entry, [str(prices(tmp_path / "BTC-USD.csv", range(N), -0.6))], Letters())
    assert found.start_ns >= entry.card.end_ns + CONFIG.horizon_ns  # type: ignore[union-attr]
    assert N - KNOWN - 10 < found.n < N - KNOWN
    assert found.measures.keys() == MEASURES.keys()
    assert all(one.within for one in found.measures.values())
    assert found.measures["accuracy"].value > found.measures["accuracy"].baselines["majority"] + 0.1


def test_what_of_the_later_data_cannot_be_read_is_said(entry: Entry, tmp_path: Path) -> None:
    later = prices(tmp_path / "BTC-USD.csv", range(N), -0.6)
    later.write_text(later.read_text() + f"{START_S + 60 * N},many\n")
    run = ["models", "score", "near", str(later), "--models", str(tmp_path / "models")]
    result = CliRunner().invoke(app, run)
    assert f"BTC-USD.csv:{N + 2}: " in result.stderr
    assert msgspec.json.decode(result.stdout.splitlines()[-1])["rejected"] == 1


def test_a_market_that_has_turned_shows(entry: Entry, tmp_path: Path) -> None:
    turned = prices(tmp_path / "BTC-USD.csv", range(N), 0.6)
    assert not scored_later(entry, [str(turned)], Letters()).measures["accuracy"].within
    run = ["models", "score", "near", str(turned), "--models", str(tmp_path / "models")]
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 1, result.output
    assert "NO" in result.output
    assert "Not as expected: accuracy, " in result.output
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


def test_a_short_period_is_expected_to_vary_more(entry: Entry, tmp_path: Path) -> None:
    """Twenty hours cut into periods of an hour: intervals of a part of the walk, 222 decisions, would miss many."""
    later = prices(tmp_path / "BTC-USD.csv", range(N), -0.6)
    within = too_long = n = 0
    for start in range(KNOWN + 60, N - 70, 60):
        begin, end = ((START_S + 60 * row) * 10**9 for row in (start, start + 62))
        found = scored_later(entry, [str(later)], Letters(), within=Span(begin, end))
        assert 50 <= found.n <= 62
        assert found.expected, "all at once"
        for name, one in found.measures.items():
            n += 1
            within += one.within
            too_long += one.value not in entry.validation.scores[MODEL][name]
            assert one.least <= one.low <= one.high <= one.most
    assert within / n >= 0.93
    assert too_long / n > 1.5 * (1.0 - LEVEL)


def test_it_is_said_what_of_so_many_measures_is_chance(entry: Entry, tmp_path: Path) -> None:
    """One of six that is out at 95 % is nothing; one that is farther out than all six are together is."""
    found = scored_later(entry, [str(prices(tmp_path / "BTC-USD.csv", range(N), -0.6))], Letters())
    said = judgement(entry, found)
    assert said.startswith("As expected: 6 of 6 measures lie within their intervals of 95%, and all within their")
    assert "99.15%" in said
    brier = found.measures["brier"]
    out = msgspec.structs.replace(brier, value=(brier.high + brier.most) / 2, within=False)
    far = msgspec.structs.replace(brier, value=brier.most + 0.1, within=False)
    assert (out.unexpected, far.unexpected) == (False, True)
    by_chance = msgspec.structs.replace(found, measures={**found.measures, "brier": out})
    assert judgement(entry, by_chance).startswith("As expected: 5 of 6 measures")
    changed = msgspec.structs.replace(found, measures={**found.measures, "brier": far}, expected=False)
    assert judgement(entry, changed).startswith("Not as expected: Brier score lies outside of their intervals")


def test_a_version_of_an_older_program_cannot_be_judged_so(entry: Entry, tmp_path: Path) -> None:
    old = msgspec.structs.replace(entry, validation=msgspec.structs.replace(entry.validation, spreads={}))
    with pytest.raises(InputError, match="did not say what its scores vary by: train it again"):
        scored_later(old, [str(prices(tmp_path / "BTC-USD.csv", range(N), -0.6))], Letters())


def test_what_is_flagged_judges_nobody_and_is_said(entry: Entry, tmp_path: Path) -> None:
    later = prices(tmp_path / "BTC-USD.csv", range(N), -0.6)
    usual = scored_later(entry, [str(later)], Letters())
    lines = later.read_text().splitlines()
    time, price = lines[2_501].split(",")
    lines[2_501] = f"{time},{2.0 * float(price)}"
    later.write_text("\n".join(lines))
    found = scored_later(entry, [str(later)], Letters())
    assert (usual.flagged, found.flagged) == (0, 2), "there and back"
    assert found.n == usual.n - 2
    title = str(later_table(found).title)
    assert title.endswith("; 2 more were flagged as out of range, and nothing predicted from them")
    assert title.count("flagged") == 1


def test_without_later_data_it_is_said(entry: Entry, tmp_path: Path) -> None:
    same = prices(tmp_path / "BTC-USD.csv", range(KNOWN), -0.6)
    with pytest.raises(InputError, match=r"0 decisions are later than what near [0-9a-f]+ learned from; at least"):
        scored_later(entry, [str(same)], Letters())
