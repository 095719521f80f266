"""``quicksilver train`` as a user meets it: what it keeps, what it says, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from jobs.choices import Span
from jobs.cli import app
from jobs.registry import Registry
from jobs.tape_letters import Letters
from jobs.train_command import tasks_of
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.entry import Entry
from tests.jobs.prices import csv_of, toml_of


def quicksilver(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "300", **environment})


def summary_of(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def refused(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (2, "")
    line = result.stderr.splitlines()[-1]
    return line.removeprefix("error: ")


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return csv_of(tmp_path_factory.mktemp("prices") / "BTC-USD.csv")


def test_what_is_there_is_found_kept_and_told(prices: Path, tmp_path: Path) -> None:
    config, models = toml_of(tmp_path / "near.toml"), tmp_path / "data" / "models"
    result = quicksilver("train", config, prices, DATA=str(tmp_path / "data"))
    (found,) = summary_of(result)["trained"]
    assert (found["name"], found["new"], found["role"], found["tried"]) == ("near", True, "live", 1)
    assert found["instruments"] == ["csv:BTC-USD"]
    assert found["n_train"] == 2_396
    assert found["measures"]["accuracy"]["above_majority"]["low"] > 0.05
    assert sum(map(sum, found["confusion"])) == found["n"]
    assert found["verdict"][0].startswith("Better than the majority class: ")
    for text in ("kept, live", "same as last move", "do nothing", "was down", "predicted up", *found["verdict"]):
        assert text in result.stdout
    entry = Registry(models).entry("near", found["version"])
    assert (entry.instruments, entry.tried) == (("csv:BTC-USD",), 1)


def test_the_same_again_is_there_already_and_another_configuration_is_another_try(prices: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    config, other = toml_of(tmp_path / "a.toml"), toml_of(tmp_path / "b.toml", ("inputs = 2", "inputs = 3"))
    (first,) = summary_of(quicksilver("train", config, prices, "--models", models))["trained"]
    again = quicksilver("train", config, prices, "--models", models)
    assert summary_of(again)["trained"] == [{**first, "new": False}]
    assert "already there, live" in again.stdout
    (dry,) = summary_of(quicksilver("train", other, prices, "--models", models, "--dry-run"))["trained"]
    assert (dry["new"], dry["role"], dry["tried"]) == (False, "", 2)
    assert Registry(models).versions("near") == [first["version"]]
    second = quicksilver("train", other, prices, "--models", models)
    (found,) = summary_of(second)["trained"]
    assert (found["version"], found["new"], found["role"], found["tried"]) == (dry["version"], True, "idle", 2)
    assert 0.9 < found["deflated"] <= 1.0, "what reverts so much is no luck"
    assert "2 configurations were tried on its instruments" in second.stdout
    earlier = ("--until", "2023-11-15T12:00")
    (later,) = summary_of(quicksilver("train", config, prices, "--models", models, *earlier))["trained"]
    assert (later["n_train"] < first["n_train"], later["tried"]) == (True, 2), "other data are no other configuration"
    assert (
        summary_of(quicksilver("train", other, prices, "--models", models, "--promote"))["trained"][0]["role"] == "live"
    )
    assert Registry(models).roles("near").earlier == [first["version"]]


@pytest.mark.timeout(300)
def test_several_processes_and_only_some(prices: Path, tmp_path: Path) -> None:
    text = "".join(
        f'[predictors.{name}]\ntype = "{kind}"\nfee_bps = 2.0\n' for name, kind in (("a", "lda"), ("b", "logistic"))
    )
    config = toml_of(tmp_path / "two.toml", text=text)
    both = summary_of(quicksilver("train", config, prices, "--models", tmp_path / "1", "--jobs", 2))["trained"]
    one = summary_of(quicksilver("train", config, prices, "--models", tmp_path / "2", "--only", "b"))["trained"]
    assert [found["name"] for found in both] == ["a", "b"]
    assert [found.pop("tried") for found in (*both, *one)] == [2, 2, 1], "those of one file are tries of one another"
    assert [found.pop("deflated") is None for found in (*both, *one)] == [False, False, True]
    assert one == both[1:]


def test_an_ensemble_that_no_part_could_judge_is_refused_before_any_is_trained(tmp_path: Path) -> None:
    prices = csv_of(tmp_path / "BTC-USD.csv", n=480)
    configs = {name: PredictorConfig("logistic", datasetinputs=inputs) for name, inputs in (("a", 1), ("b", 2))}
    both = {"both": EnsembleConfig((Member("a"), Member("b")), stacking=True)}
    with pytest.raises(InputError, match="ensemble both: 477 decisions are too few: each member has to have 200"):
        tasks_of(configs, both, [str(prices)], Letters(), None, Span())


def test_a_span_of_time_of_several_files(prices: Path, tmp_path: Path) -> None:
    eth, config = csv_of(tmp_path / "ETH-USD.csv", seed=2), toml_of(tmp_path / "near.toml")
    line = ["train", config, prices, eth, "--models", tmp_path / "models", "--dry-run"]
    line += ["--since", "2023-11-15", "--until", "2023-11-15T12:00"]
    (found,) = summary_of(quicksilver(*line))["trained"]
    assert found["instruments"] == ["csv:BTC-USD", "csv:ETH-USD"]
    assert found["n_train"] == 2 * (720 - 4)
    assert (found["start_ns"], found["end_ns"]) == (1_700_006_520_000_000_000, 1_700_049_420_000_000_001)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('type = "logistic"', 'type = "oracle"'), "predictor near: there is no predictor type 'oracle'; there are "),
        (("fee_bps = 2.0", "fee_bps = "), "{config}: Invalid value"),
        (("fee_bps", "fees"), "{config}: predictor near: Object contains unknown field `fees`"),
        (("fee_bps", 'features = ["rsi_15"]\nfee_bps'), "{config}: predictor near: there is no feature 'rsi_15'"),
        (("predictors.near", 'predictors."../near"'), "{config}: '../near' is no name"),
        (("fee_bps", "parameters = {depth = 3}\nfee_bps"), "predictor near: a logistic predictor: "),
        (("fee_bps", "parameters = {C = -1.0}\nfee_bps"), "predictor near: The 'C' parameter of LogisticRegression "),
        (('"1m"', '"30m"'), "predictor near: 78 examples of 30m; at least 200 are needed"),
        (("fee_bps = 2.0", "fee_bps = 900"), "predictor near: all 2396 outcomes are flat beyond"),
        (("fee_bps", 'features = ["vpin"]\nfee_bps'), "predictor near: input vpin is not known in any of 2396"),
        (
            ("fee_bps", 'symbols = ["ETH-USD"]\nfee_bps'),
            "predictor near: no instrument of symbols ETH-USD; there is csv:BTC-USD",
        ),
        (("inputs = 2", "inputs = 2000"), "{config}: predictor near: datasetinputs = 2000: give 0 to 1000 moves"),
    ],
)
def test_what_cannot_be_trained_is_said_and_nothing_is_kept(
    prices: Path, tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    config, models = toml_of(tmp_path / "near.toml", change), tmp_path / "models"
    text = refused(quicksilver("train", config, prices, "--models", models))
    assert text.startswith(said.format(config=config)), text
    assert not models.exists()


def test_of_two_predictors_none_is_kept_if_one_cannot_be_trained(prices: Path, tmp_path: Path) -> None:
    config = toml_of(tmp_path / "two.toml")
    config.write_text(config.read_text() + '[predictors.far]\ntype = "lda"\ngranularity = "1h"\n')
    assert refused(quicksilver("train", config, prices, "--models", tmp_path / "models")).startswith("predictor far: ")
    assert not (tmp_path / "models").exists()


def test_an_input_that_never_changes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USD.csv"
    path.write_text("time,close\n" + "".join(f"{1_700_000_000 + 60 * row},100.0\n" for row in range(400)))
    said = refused(quicksilver("train", toml_of(tmp_path / "near.toml"), path, "--models", tmp_path / "models"))
    assert said == (
        "predictor near: input move_1_bps is 0 in all of 396 examples: give data in which the price moves, or"
        " datasetinputs = 0 and features"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "2030-01-01"], "predictor near: nothing lies between --since and --until"),
        (["--since", "soon"], "--since soon: not a time"),
        (["--only", "far"], "--only far: no such predictor in the file; there is near"),
        (["--jobs", "2", "--master", "local[2]"], "--jobs 2 are processes here, and --master local[2] is Spark"),
        (["--dry-run", "--promote"], "--dry-run keeps nothing that --promote could make live"),
    ],
)
def test_options_that_cannot_be_used(prices: Path, tmp_path: Path, options: list[str], said: str) -> None:
    config = toml_of(tmp_path / "near.toml")
    assert refused(quicksilver("train", config, prices, "--models", tmp_path / "models", *options)).startswith(said)


def test_files_that_are_not_there(prices: Path, tmp_path: Path) -> None:
    config, missing = toml_of(tmp_path / "near.toml"), tmp_path / "none"
    assert refused(quicksilver("train", missing, prices)) == f"{missing}: No such file or directory"
    assert refused(quicksilver("train", config, missing)) == f"{missing}: there is no such file"
    twice = refused(quicksilver("train", config, prices, prices))
    assert twice == f"{prices} and {prices} hold the same time of csv:BTC-USD: name one of them"


def test_a_damaged_registry_is_said_before_anything_is_trained(
    prices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = tmp_path / "models" / "near" / "roles.json"
    roles.parent.mkdir(parents=True)
    roles.write_bytes(b"{")
    monkeypatch.setattr("jobs.training_runners.trained_all", lambda *_: pytest.fail("it was trained"))
    said = refused(quicksilver("train", toml_of(tmp_path / "near.toml"), prices, "--models", tmp_path / "models"))
    assert said.startswith(f"{roles}: cannot be used: ")
    assert said.endswith("; restore it, or remove it: of what is trained next the first is live")
    assert roles.read_bytes() == b"{"


def test_the_name_of_a_file_beside_the_predictors_is_said_before_anything_is_trained(
    prices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toml_of(tmp_path / "near.toml", ("[predictors.near]", '[predictors."tries.jsonl"]'))
    monkeypatch.setattr("jobs.training_runners.trained_all", lambda *_: pytest.fail("it was trained"))
    said = refused(quicksilver("train", config, prices, "--models", tmp_path / "models"))
    assert said == "a predictor cannot be named tries.jsonl: a file of that name stands beside them"


def test_what_was_tried_is_counted_without_reading_a_version(
    prices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retrainer keeps a hundred of them a day: each training would read them all."""
    models, read, look = tmp_path / "models", set[str](), Registry.entry

    def noted(registry: Registry, name: str, version: str) -> Entry:
        read.add(version)
        return look(registry, name, version)

    monkeypatch.setattr(Registry, "entry", noted)
    for inputs in range(2, 5):
        config = toml_of(tmp_path / "near.toml", ("inputs = 2", f"inputs = {inputs}"))
        (found,) = summary_of(quicksilver("train", config, prices, "--models", models))["trained"]
        assert found["tried"] == inputs - 1
        assert read <= {found["version"]}
        read.clear()


def test_a_damaged_version_counts_as_a_try_and_hinders_nothing(prices: Path, tmp_path: Path) -> None:
    models, config = tmp_path / "models", toml_of(tmp_path / "near.toml")
    (first,) = summary_of(quicksilver("train", config, prices, "--models", models))["trained"]
    (models / "near" / f"{first['version']}.json").write_bytes(b"{}")
    other = toml_of(tmp_path / "other.toml", ("inputs = 2", "inputs = 3"))
    (found,) = summary_of(quicksilver("train", other, prices, "--models", models))["trained"]
    assert (found["new"], found["role"], found["tried"]) == (True, "idle", 2)
    assert msgspec.json.decode((models / "near" / "roles.json").read_bytes())["live"] == first["version"]
