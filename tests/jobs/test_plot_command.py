"""``quicksilver plot`` as a user meets it: which files it leaves, what it says, what it refuses."""

from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from api.store_sqlite import SqliteStore
from jobs.cli import app
from jobs.pictures.write import KINDS
from jobs.registry import Registry
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.entry import Entry
from quicksilver.learning.results import Validation
from tests.jobs.pictures.test_live import scores
from tests.quicksilver.learning.test_predictor import card_of

TOML = """
[predictors.line]
type = "logistic"
fee_bps = 3
[predictors.bayes]
type = "naive-bayes"
fee_bps = 3
[predictors.short]
type = "logistic"
datasetinputs = 1
[ensembles.both]
members = [{predictor = "line"}, {predictor = "bayes"}]
"""
PRICES = PredictorConfig("logistic", granularity="10s", datasetinputs=2, fee_bps=1.0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and prices that take back most of each move, where the command is at home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA", raising=False)
    monkeypatch.setattr("quicksilver.learning.scores.RESAMPLES", 60)
    rng, last, price = np.random.default_rng(1), 0.0, 100.0
    lines = ["time,close"]
    for row in range(900):
        last = -0.8 * last + float(rng.normal(0.0, 8e-4))
        price *= float(np.exp(last))
        lines.append(f"{1_700_000_000 + 60 * row},{price:.6f}")
    (tmp_path / "BTC-USD.csv").write_text("\n".join(lines))
    (tmp_path / "p.toml").write_text(TOML)
    return tmp_path


def plot(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["plot", *arguments])


def test_a_file_of_predictors_is_drawn_each_and_all_together(folder: Path) -> None:
    result = plot("p.toml", "BTC-USD.csv", "--kind", "boundaries", "--kind", "confusion")
    assert result.exit_code == 0, result.output
    pictures = folder / "data" / "pictures"
    expected = [
        "bayes/boundaries.png", "bayes/confusion.png", "both/confusion.png", "line/boundaries.png",
        "line/confusion.png", "p/boundaries.png", "short/confusion.png",
    ]  # fmt: skip
    assert sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*.png")) == expected
    assert sorted(result.stdout.split()) == [f"data/pictures/{one}" for one in expected]
    assert result.stderr.splitlines() == [
        "not drawn: short has one input: boundaries need two, so give it datasetinputs = 2 or more",
        "not drawn: both is an ensemble: its inputs are what its members say, and boundaries are those of each member",
    ]


def test_the_picture_of_all_takes_no_predictors_place(folder: Path) -> None:
    (folder / "line.toml").write_text(TOML)
    result = plot("line.toml", "BTC-USD.csv", "--kind", "boundaries", "--out", "here")
    assert result.exit_code == 0, result.output
    assert set(result.stdout.split()) == {f"here/{one}/boundaries.png" for one in ("bayes", "line", "line.toml")}


def test_what_cannot_be_drawn_does_not_hinder_the_others(folder: Path) -> None:
    """One wants days of hours of data, one another instrument; those after them are drawn."""
    daily = '[predictors.daily]\ntype = "lda"\ngranularity = "1d"\n'
    other = '[predictors.other]\ntype = "lda"\nsymbols = ["X-Y"]\n'
    (folder / "q.toml").write_text(daily + other + TOML)
    result = plot("q.toml", "BTC-USD.csv", "--kind", "confusion")
    assert result.exit_code == 0, result.output
    assert [Path(line).parent.name for line in result.stdout.split()] == ["line", "bayes", "short", "both"]
    first, second = result.stderr.splitlines()
    assert first.startswith("not drawn: predictor daily: ")
    assert second == "not drawn: predictor other: no instrument of symbols X-Y; there is csv:BTC-USD"


def test_who_tunes_by_pictures_tries_as_much_as_who_trains(folder: Path) -> None:
    """A configuration is one try, however often it is looked at, and the same one if it is trained then."""
    tries = folder / "data" / "models" / "tries.jsonl"
    for command in ("plot", "plot", "train"):
        chosen = [f"--only={name}" for name in ("line", "bayes", "both")]
        kinds = ["--kind", "confusion"] if command == "plot" else ["--dry-run"]
        result = CliRunner().invoke(app, [command, "p.toml", "BTC-USD.csv", *chosen, *kinds])
        assert result.exit_code == 0, result.output
        assert len(tries.read_text().splitlines()) == 3


def test_one_predictor_of_all_kinds(folder: Path) -> None:
    result = plot("p.toml", "BTC-USD.csv", "--only", "line", "--out", "here")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (folder / "here" / "line").iterdir()) == sorted(f"{one}.png" for one in KINDS)
    assert [path.name for path in (folder / "here").iterdir()] == ["line"]


def test_pictures_are_of_a_span_of_time(folder: Path) -> None:
    refused = plot("p.toml", "BTC-USD.csv", "--only", "line", "--until", "2001-01-01")
    assert refused.exit_code == 2
    assert "not drawn: predictor line: nothing lies between --since and --until" in refused.stderr
    drawn = plot("p.toml", "BTC-USD.csv", "--only", "line", "--kind", "confusion", "--until", "2023-11-15T08:00")
    assert drawn.exit_code == 0, drawn.output
    whole = plot("p.toml", "BTC-USD.csv", "--only", "line", "--kind", "confusion", "--out", "whole")
    assert whole.exit_code == 0, whole.output
    pictures = [folder / one / "line" / "confusion.png" for one in ("data/pictures", "whole")]
    assert pictures[0].read_bytes() != pictures[1].read_bytes()


def test_a_version_of_the_registry(folder: Path) -> None:
    card = card_of(PRICES)
    Registry(folder / "data" / "models").add(Entry(card, Validation(100, 8, 5, 1, 2, {}, {})))
    rows = [f"{2_000_000_000 + 10 * row},{100 + 0.05 * (row % 7)}" for row in range(400)]
    (folder / "later.csv").write_text("\n".join(["time,close", *rows]))
    for name in ("near", f"near@{card.version}", f"near@{card.version[:4]}"):
        result = plot(name, "later.csv", "--kind", "confusion")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.strip() == f"data/pictures/near@{card.version}/confusion.png"
    earlier = plot("near", "BTC-USD.csv", "--kind", "score")
    assert earlier.exit_code == 2
    assert "at least 50 are needed: give newer data" in earlier.stderr
    assert earlier.stderr.splitlines()[-1] == "error: nothing could be drawn of near, for the reasons above"


def test_an_ensemble_of_a_file_and_of_the_registry(folder: Path) -> None:
    lines = (folder / "BTC-USD.csv").read_text().splitlines()
    (folder / "early").mkdir()
    (folder / "early" / "BTC-USD.csv").write_text("\n".join(lines[:600]))
    trained = CliRunner().invoke(app, ["train", "p.toml", "early/BTC-USD.csv", "--only", "both"])
    assert trained.exit_code == 0, trained.output
    drawn = ["calibration", "confusion", "importance", "score"]
    for asked in (["p.toml", "BTC-USD.csv", "--only", "both"], ["both", "BTC-USD.csv"]):
        result = plot(*asked, "--out", "here")
        assert result.exit_code == 0, result.output
        assert [Path(line).stem for line in result.stdout.splitlines()] == drawn
        assert [line.startswith("not drawn: both") for line in result.stderr.splitlines()] == [True, True]
    version = Registry(folder / "data" / "models").roles("both").live
    assert sorted(path.name for path in (folder / "here").iterdir()) == ["both", f"both@{version}"]
    refused = plot("both", "early/BTC-USD.csv", "--kind", "score")
    assert refused.exit_code == 2
    assert "0 decisions are later than what both" in refused.stderr


def test_live_scores_of_each_version(folder: Path) -> None:
    with closing(SqliteStore(folder / "run.sqlite")) as store:
        store.write([*scores(200), *scores(100, "v2", 2, after=200)])
    result = plot("near", "run.sqlite", "--live")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.strip() == "data/pictures/near/live-score.png"
    assert plot("near@v2", "run.sqlite", "--live").exit_code == 0
    for name in ("near@v3", "far"):
        refused = plot(name, "run.sqlite", "--live")
        assert refused.exit_code == 2
        wanted = name.replace("@", " ")
        assert refused.stderr == (
            f"not drawn: run.sqlite: no live scores of {wanted}; there are of near\n"
            f"error: nothing could be drawn of {name}, for the reasons above\n"
        )


def test_live_scores_of_a_file_are_drawn_of_those_that_have_some(folder: Path) -> None:
    """The first of the file and the last have none: the one between is drawn."""
    with closing(SqliteStore(folder / "run.sqlite")) as store:
        store.write([msgspec.structs.replace(one, model="bayes") for one in scores(200)])
    result = plot("p.toml", "run.sqlite", "--live")
    assert result.exit_code == 0
    assert result.stdout.strip() == "data/pictures/bayes/live-score.png"
    assert result.stderr.splitlines() == [
        f"not drawn: run.sqlite: no live scores of {one}; there are of bayes" for one in ("line", "short", "both")
    ]
    refused = plot("p.toml", "run.sqlite", "--live", "--only", "line")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1] == "error: nothing could be drawn of p.toml, for the reasons above"
    unknown = plot("p.toml", "run.sqlite", "--live", "--only", "lien")
    assert unknown.stderr.startswith("error: --only lien: no such predictor in the file")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["p.toml", "no.csv"], "no.csv: there is no such file"),
        (["no.toml", "BTC-USD.csv"], "no.toml: No such file or directory"),
        (["p.toml", "BTC-USD.csv", "--only", "lien"], "--only lien: no such predictor in the file; there is line,"),
        (["near", "BTC-USD.csv"], "there is no predictor near in data/models; there is none: `quicksilver"),
        (["near@abc", "BTC-USD.csv"], "there is no predictor near in data/models; there is none: `quicksilver"),
        (["near", "no.sqlite", "--live", "--since", "2024-01-01"], "--live draws all scores that are stored"),
        (["near", "BTC-USD.csv", "--only", "line"], "--only chooses from a TOML file, and near is one predictor"),
        (["near", "no.sqlite", "--live"], "no.sqlite: there is no such file; --live reads the SQLite file of a run"),
        (["near", "BTC-USD.csv", "--live"], "BTC-USD.csv: cannot be used as a database"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], said: str, folder: Path) -> None:
    result = plot(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {said}")
    assert len(result.stderr.splitlines()) == 1
    assert not (folder / "data" / "pictures").exists()
