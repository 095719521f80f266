"""What was ever tried counts, whoever tried it, and once."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.registry import Registry
from jobs.search_view import SearchView
from jobs.tries import TriesFile, Try, id_of
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.results import Track
from tests.jobs.prices import csv_of
from tests.searches import TOML

TRACK = Track(0.1, 100, 0.0, 3.0, 24.0)
N = 8
NEAR = """
[predictors.near]
type = "lda"
datasetinputs = 1
fee_bps = 1.0
"""


def summary_of(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1]), result.stdout


def test_one_configuration_counts_once_and_with_its_last_track(tmp_path: Path) -> None:
    file = TriesFile(tmp_path / "models")
    assert file.on(["a:B"]) == {}
    file.add([Try("1", "x", ("a:B",)), Try("1", "y", ("a:B",), TRACK), Try("2", "x", ("a:B", "a:C"))])
    file.add([Try("1", "x", ("a:B",)), Try("3", "x", ("a:D",))])
    assert len(file.path.read_text().splitlines()) == 4
    for one in (file, TriesFile(tmp_path / "models")):
        assert one.on(["a:B"]) == {"1": TRACK, "2": None}
        assert one.on(["a:C", "a:D"]) == {"2": None, "3": None}


def test_a_line_that_was_torn_costs_that_line_alone(tmp_path: Path) -> None:
    file = TriesFile(tmp_path)
    file.add([Try("1", "x", ("a:B",)), Try("2", "x", ("a:B",))])
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-5])
    again = TriesFile(tmp_path)
    assert again.on(["a:B"]).keys() == {"1"}
    again.add([Try("3", "x", ("a:B",))])
    assert again.on(["a:B"]).keys() == TriesFile(tmp_path).on(["a:B"]).keys() == {"1", "3"}


def test_hostile_json_costs_its_line_alone(tmp_path: Path) -> None:
    file = TriesFile(tmp_path)
    file.add([Try("1", "x", ("a:B",))])
    file.path.write_bytes(b'{"x": ' + b"[" * 200_000 + b"\n\xff\n" + file.path.read_bytes())
    assert TriesFile(tmp_path).on(["a:B"]).keys() == {"1"}


@pytest.mark.parametrize("damage", [(b'"per_day":', b'"per_day":-'), (b'"n":', b'"n":-'), (b'"n":', b'"n":0.')])
def test_a_track_that_no_profits_have_counts_for_nothing(tmp_path: Path, damage: tuple[bytes, bytes]) -> None:
    file = TriesFile(tmp_path)
    file.add([Try("1", "x", ("a:B",), TRACK)])
    line = file.path.read_bytes()
    file.path.write_bytes(line.replace(*damage) + line.replace(b'"1"', b'"2"'))
    assert TriesFile(tmp_path).on(["a:B"]) == {"2": TRACK}


def add_some(folder: Path, first: int) -> None:
    for number in range(first, first + 50):
        TriesFile(folder).add([Try(str(number), "x", ("a:B",), TRACK)])


def test_several_processes_add_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=add_some, args=(tmp_path, 30 * number)) for number in range(3)]
    for one in others:
        one.start()
    for one in others:
        one.join()
    assert TriesFile(tmp_path).on(["a:B"]).keys() == {str(number) for number in range(110)}


def test_an_ensemble_of_other_members_is_another_try() -> None:
    both = EnsembleConfig((Member("a"), Member("b")))
    members = PredictorConfig("lda"), PredictorConfig("qda")
    assert id_of(both, members) == id_of(both, members) != id_of(both, members[::-1])


def test_training_the_winner_of_a_search_counts_the_search_and_the_other_way_round(tmp_path: Path) -> None:
    prices, models, out = csv_of(tmp_path / "BTC-USD.csv"), tmp_path / "models", tmp_path / "found"
    (tmp_path / "grid.toml").write_text(TOML)
    line = ("search", tmp_path / "grid.toml", prices, "--out", out, "--models", models, "--jobs", 1)
    searched, _ = summary_of(*line)
    assert searched["tried"] == N
    (tmp_path / "near.toml").write_text(NEAR + 'symbols = ["BTC-USD"]\nvenues = ["csv"]\n')
    dry, said = summary_of("train", tmp_path / "near.toml", prices, "--models", models, "--dry-run")
    (trained,) = dry["trained"]
    assert trained["tried"] == N, "it is one of them"
    assert f"{N} configurations were tried on its instruments" in said
    assert Registry(models).names() == []

    (tmp_path / "other.toml").write_text(NEAR.replace("inputs = 1", "inputs = 5"))
    (other,) = summary_of("train", tmp_path / "other.toml", prices, "--models", models, "--dry-run")[0]["trained"]
    (kept,) = summary_of("train", tmp_path / "near.toml", prices, "--models", models)[0]["trained"]
    again, _ = summary_of(*line)
    table = SearchView(out).table()
    assert table is not None
    assert [one["tried"] for one in (other, kept, again)] == [N + 1, N + 1, table.tried]
    assert Registry(models).entry("near", kept["version"]).tried == N + 1
    assert len((models / "tries.jsonl").read_text().splitlines()) == N + 2, "one on data told apart as a frame"

    elsewhere = csv_of(tmp_path / "ETH-USD.csv", seed=3)
    (tmp_path / "far.toml").write_text(NEAR.replace("near", "far"))
    (alone,) = summary_of("train", tmp_path / "far.toml", elsewhere, "--models", models, "--dry-run")[0]["trained"]
    assert alone["tried"] == 1, "of another instrument nobody has chosen anything"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(InputError, match=r"tries.jsonl: cannot be written to: "):
        TriesFile(tmp_path / "models").add([Try("1", "x", ("a:B",))])
