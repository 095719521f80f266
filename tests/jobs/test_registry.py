"""Versions of predictors on disk: kept, promoted, rolled back, and refused where they are damaged."""

from pathlib import Path

import msgspec
import pytest

from jobs.registry import Entry, Registry, code_digest
from quicksilver.errors import InputError
from quicksilver.learning.validation import Validation
from quicksilver.models.card import Card
from quicksilver.models.predictor import Predictor
from tests.quicksilver.learning.test_predictor import card_of

SCORES = Validation(100, 8, 5, 1, 2, {}, {})
FIRST, SECOND, THIRD = (Entry(card_of(seed=seed), SCORES) for seed in (1, 2, 3))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "models")
    for entry in (FIRST, SECOND, THIRD):
        assert registry.add(entry)
    return registry


def test_what_is_kept_is_what_was_given(registry: Registry) -> None:
    assert registry.names() == ["near"]
    assert registry.versions("near") == [FIRST.card.version, SECOND.card.version, THIRD.card.version]
    found = registry.entry("near", SECOND.card.version)
    assert found == SECOND
    assert isinstance(found.card, Card)
    Predictor(found.card, "test", "BTC-USD")
    assert not registry.add(SECOND)


def test_the_first_is_live_until_another_is_promoted_and_rolled_back(registry: Registry) -> None:
    first, second, third = (one.card.version for one in (FIRST, SECOND, THIRD))
    registry.shadow("near", second)
    registry.shadow("near", third)
    assert (registry.roles("near").live, registry.roles("near").shadows) == (first, sorted([second, third]))
    registry.promote("near", third)
    assert (registry.roles("near").live, registry.roles("near").shadows) == (third, [second])
    registry.promote("near", second)
    registry.shadow("near", third)
    assert registry.roll_back("near") == third
    assert registry.roles("near").shadows == []
    assert registry.roll_back("near") == first
    with pytest.raises(InputError, match=f"near {first} was the first"):
        registry.roll_back("near")
    assert registry.roles("near").live == first


def test_a_damaged_version_is_not_promoted_and_the_old_one_stays(registry: Registry, tmp_path: Path) -> None:
    first, second = FIRST.card.version, SECOND.card.version
    path = tmp_path / "models/near" / f"{second}.json"
    whole = path.read_bytes()
    swapped = msgspec.json.encode(
        msgspec.structs.replace(THIRD, card=msgspec.structs.replace(THIRD.card, version=second))
    )
    for damaged, said in (
        (whole[: len(whole) // 2], "cannot be used"),
        (b"{}", "cannot be used"),
        (swapped, "damaged: its content is that of another version"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=said):
            registry.promote("near", second)
        assert registry.roles("near").live == first


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("near", "nope", "near has no version nope; there is "),
        ("far", "nope", "far has no version nope; there is none"),
    ],
)
def test_what_is_not_there_is_named(registry: Registry, name: str, version: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        registry.promote(name, version)


def test_an_empty_registry_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is none: `quicksilver train` makes one"):
        Registry(tmp_path).roles("near")


def test_a_crash_while_writing_leaves_what_was(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jobs.registry.os.fsync", crash)
    with pytest.raises(InputError, match="cannot be written to: No space left on device"):
        registry.promote("near", SECOND.card.version)
    assert registry.roles("near").live == FIRST.card.version
    assert not list((tmp_path / "models/near").glob(".*"))


def test_a_program_is_told_by_its_sources_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    first = code_digest.__wrapped__()
    assert first == code_digest.__wrapped__()
    monkeypatch.setattr("jobs.registry.version_of_library", lambda name: "0.0.1")
    assert code_digest.__wrapped__() != first
