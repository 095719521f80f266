"""``quicksilver models``: versions listed, shown, promoted, shadowed, rolled back, and told to instruments."""

import json
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from jobs import deployments
from jobs.registry import Registry
from jobs.registry_history import Happening, History
from jobs.reports import listing
from jobs.training import tries_of
from jobs.tries import Try, id_of_card
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.datasets import frame_of
from quicksilver.learning.ensemble_config import EnsembleConfig, Member
from quicksilver.learning.entry import Entry, sealed
from quicksilver.learning.histories import HistoryBuilder
from quicksilver.learning.tasks import Task, trained_and_judged
from quicksilver.models.card import Card, Deployment, EnsembleCard, wants
from tests.jobs.test_train_command import quicksilver, refused
from tests.quicksilver.learning.test_ensembles import card_of as ensemble_of
from tests.quicksilver.learning.test_predictor import CONFIG, rows


def entry_of(data: int, **changes: object) -> Entry:
    config = msgspec.structs.replace(CONFIG, **changes)
    frame = frame_of(HistoryBuilder(config.features).take_all(rows(1_200, data)).histories(), config)
    made = trained_and_judged(Task("near", config, frame, "a program"))
    return Entry(made.card, made.validation, 1, made.instruments)


FIRST, SECOND = entry_of(1), entry_of(2, seed=5)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    registry = Registry(tmp_path / "models")
    for one in (FIRST, SECOND):
        registry.add(one)
        tries_of(registry).add([Try(id_of_card(one.card), one.card.data, one.instruments, one.validation.track)])
    return tmp_path / "models"


def test_list_and_show(models: Path) -> None:
    first, second = FIRST.card.version, SECOND.card.version
    listed = quicksilver("models", "list", "--models", models)
    assert listed.exit_code == 0
    lines = [line for line in listed.stdout.splitlines() if "near" in line]
    assert [(first in line, "live" in line) for line in lines] == [(True, True), (False, False)]
    assert all("logistic" in line and "2026-09-21" in line for line in lines)
    told = json.loads(quicksilver("models", "list", "--models", models, "--json").stdout)
    assert [(one["version"], one["role"]) for one in told] == [(first, "live"), (second, "idle")]
    shown = quicksilver("models", "show", "near", second[:6], "--models", models)
    for text in (f"near {second}: idle", "test:BTC-USD", "vpin", "seed 5", "2 configurations were tried", "was flat"):
        assert text in shown.stdout
    whole = json.loads(quicksilver("models", "show", "near", "--models", models, "--json").stdout)
    assert (whole["version"], whole["role"], whole["tried"]) == (first, "live", 2)
    assert whole["validation"]["n"] == FIRST.validation.n


def test_an_ensemble_is_listed_with_all_that_its_members_have_learned_from() -> None:
    card = ensemble_of("pair")
    first, second = card.members
    day_ns = 86_400 * 10**9
    longer = msgspec.structs.replace(second, start_ns=second.start_ns - day_ns, end_ns=second.end_ns + day_ns)
    card = msgspec.structs.replace(card, members=(first, longer))
    console = Console(width=300, file=StringIO())
    for n_examples, said in ((1_234, "1,234"), (0, "not known")):
        console.print(listing([(Entry(card, FIRST.validation, n_examples=n_examples), "live")]))
        assert isinstance(console.file, StringIO)
        line = console.file.getvalue().splitlines()[-2]
        assert "2026-09-20 to 2026-09-22" in line
        assert f" {said} " in line


def test_roles_are_changed_by_the_beginnings_of_versions(models: Path) -> None:
    first, second = FIRST.card.version, SECOND.card.version
    for line, said in (
        (("shadow", "near", second[:4]), f"near: {second} is a shadow\n"),
        (("shadow", "near", second, "--off"), f"near: {second} is no longer a shadow\n"),
        (("promote", "near", second[:4]), f"near: {second} is live; before it was {first}\n"),
        (("rollback", "near"), f"near: {first} is live again; {second} is not\n"),
    ):
        result = quicksilver("models", *line, "--models", models)
        assert (result.exit_code, result.stdout) == (0, said)
    assert Registry(models).roles("near").live == first


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("promote", "near", "zz"), "near has no version zz; there is "),
        (("promote", "near", ""), "near has several versions that begin with "),
        (("promote", "far", "zz"), "there is no predictor far in "),
        (("promote", "near", FIRST.card.version), f"near {FIRST.card.version} is live already"),
        (("shadow", "near", FIRST.card.version), f"near {FIRST.card.version} is live: it cannot be its own shadow"),
        (("shadow", "near", SECOND.card.version, "--off"), f"near {SECOND.card.version} is no shadow"),
        (("rollback", "near"), f"near {FIRST.card.version} was the first"),
        (("promote", "near", SECOND.card.version, "--symbol", "a:B-C"), "--symbol is for --publish"),
        (("publish", "far"), "there is no predictor far in "),
        (("show", "../models/near"), "'../models/near' is no name: "),
        (("history", "../models/near"), "'../models/near' is no name: "),
        (("promote", "x" * 300, "zz"), f"'{'x' * 300}' is no name: "),
        (("show", "tries.jsonl"), "there is no predictor tries.jsonl in "),
    ],
)
def test_what_cannot_be_done_changes_nothing(models: Path, line: tuple[str, ...], said: str) -> None:
    before = (models / "near" / "roles.json").read_bytes()
    assert refused(quicksilver("models", *line, "--models", models)).startswith(said)
    assert (models / "near" / "roles.json").read_bytes() == before


def test_without_a_live_version_one_is_asked_for(models: Path, tmp_path: Path) -> None:
    """As a file of roles says that somebody has emptied."""
    (models / "near" / "roles.json").write_text("{}")
    missing = f"near has no live version: promote one of {FIRST.card.version}, {SECOND.card.version}"
    for line in (("show", "near"), ("score", "near", tmp_path)):
        assert refused(quicksilver("models", *line, "--models", models)) == missing
    said = refused(quicksilver("models", "rollback", "near", "--models", models))
    assert said == "near has no live version, and had none before: promote one"
    made = quicksilver("models", "promote", "near", SECOND.card.version, "--models", models)
    assert made.stdout == f"near: {SECOND.card.version} is live; before it was none\n"


def test_an_empty_registry(tmp_path: Path) -> None:
    for line in ("list", "publish"):
        said = refused(quicksilver("models", line, "--models", tmp_path))
        assert said == f"there is no predictor in {tmp_path}: `quicksilver train` makes one"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: msgspec.structs.replace(card, card=99), "is a card of version 99, this is 1"),
        (lambda card: msgspec.structs.replace(card, model=b"junk"), "holds a damaged model"),
        (lambda card: msgspec.structs.replace(card, data="other"), "damaged: its content is that of another version"),
    ],
)
def test_a_damaged_version_is_listed_as_such_and_not_promoted(models: Path, change: object, said: str) -> None:
    version = SECOND.card.version
    path = models / "near" / f"{version}.json"
    path.write_bytes(sealed(msgspec.structs.replace(SECOND, card=change(SECOND.card))))  # type: ignore[operator]
    for line in (("promote", "near", version), ("shadow", "near", version), ("show", "near", version)):
        text = refused(quicksilver("models", *line, "--models", models))
        assert text.startswith(f"{path}: ")
        assert said in text
    listed = quicksilver("models", "list", "--models", models)
    assert listed.exit_code == 2
    assert FIRST.card.version in listed.stdout
    assert said in listed.stderr
    assert Registry(models).roles("near").live == FIRST.card.version


def test_kafka_that_is_away_is_said_before_roles_change(models: Path) -> None:
    line = ("promote", "near", SECOND.card.version, "--publish", "--symbol", "test:BTC-USD")
    said = refused(quicksilver("models", *line, "--models", models, KAFKA_SERVERS="127.0.0.1:1"))
    assert said.startswith("Kafka at 127.0.0.1:1 does not answer: ")
    assert Registry(models).roles("near").live == FIRST.card.version


def test_instruments_are_told_what_is_for_them(models: Path) -> None:
    registry = Registry(models)
    registry.shadow("near", SECOND.card.version)
    pairs = deployments.instruments_of(["kraken:BTC-USD", "test:ETH-USD"])
    assert deployments.deployments_of(registry, "near", pairs) == [
        Deployment(venue, symbol, "near", FIRST.card, (SECOND.card,)) for venue, symbol in pairs
    ]


def test_instruments_that_a_new_version_is_not_for_are_told_to_run_none(tmp_path: Path) -> None:
    registry, narrow = Registry(tmp_path), entry_of(3, symbols=("BTC-USD",))
    registry.add(FIRST)
    registry.add(narrow)
    registry.promote("near", narrow.card.version)
    pairs = [("kraken", "BTC-USD"), ("kraken", "ETH-USD")]
    assert deployments.deployments_of(registry, "near", pairs) == [
        Deployment("kraken", "BTC-USD", "near", narrow.card), Deployment("kraken", "ETH-USD", "near"),
    ]  # fmt: skip


def test_an_ensemble_is_where_all_its_members_are() -> None:
    assert isinstance(FIRST.card, Card)
    kraken, bitcoin = (
        msgspec.structs.replace(FIRST.card, config=config)
        for config in (
            PredictorConfig("logistic", venues=("kraken",)),
            PredictorConfig("logistic", symbols=("BTC-USD",)),
        )
    )
    config = EnsembleConfig((Member("a"), Member("b")))
    card = EnsembleCard("both", "v", 1, config, (kraken, bitcoin), None, "", "")
    wanted = [("kraken", "BTC-USD"), ("kraken", "ETH-USD"), ("coinbase", "BTC-USD")]
    assert [wants(card, *one) for one in wanted] == [True, False, False]


def test_a_symbol_without_its_venue_is_refused(models: Path) -> None:
    from quicksilver.errors import InputError

    with pytest.raises(InputError, match="--symbol BTC-USD: write VENUE:BASE-QUOTE"):
        deployments.instruments_of(["BTC-USD"])


def test_what_retraining_has_done_is_listed(models: Path) -> None:
    for name, said in (("far", "there is no predictor far in"), ("near", "nothing was done with near but by hand")):
        assert said in refused(quicksilver("models", "history", name, "--models", models))
    first = Happening(1_790_000_000_000_000_000, "training", "schedule: its data end 6 h ago, every = 6h")
    History(models).add("near", first)
    History(models).add("near", Happening(1_790_000_060_000_000_000, "shadow", "judged", SECOND.card.version))
    found = quicksilver("models", "history", "near", "--models", models)
    assert (found.exit_code, found.stdout.splitlines()) == (0, [
        "2026-09-21 14:13:20  training: schedule: its data end 6 h ago, every = 6h",
        f"2026-09-21 14:14:20  shadow {SECOND.card.version}: judged",
    ])  # fmt: skip
    told = quicksilver("models", "history", "near", "--models", models, "--json").stdout.splitlines()
    assert msgspec.json.decode(told[0], type=Happening) == first
