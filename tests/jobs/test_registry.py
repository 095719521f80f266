"""Versions of predictors on disk: kept, promoted, rolled back, and refused where they are damaged."""

import hashlib
import pickle
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import msgspec
import pytest
from zstandard import ZstdCompressor

from jobs.registry import Registry
from quicksilver.errors import InputError
from quicksilver.learning.entry import Entry, sealed
from quicksilver.learning.results import Validation
from quicksilver.models.card import MAX_MODEL, Card, EnsembleCard, packed
from quicksilver.models.ensemble import EnsemblePredictor
from quicksilver.models.predictor import Predictor
from quicksilver.models.roles import Roles
from setup.alone import alone
from tests.quicksilver.learning.test_ensembles import card_of as ensemble_of
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


def test_an_ensemble_is_kept_with_its_members_promoted_and_rolled_back(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    entries = [Entry(ensemble_of(kind), SCORES) for kind in ("stacking", "recent")]
    assert all(registry.add(entry) for entry in entries)
    assert not registry.add(entries[0])
    first, second = (entry.card.version for entry in entries)
    found = registry.entry("all", first)
    assert found == entries[0]
    assert isinstance(found.card, EnsembleCard)
    EnsemblePredictor(found.card, "test", "BTC-USD")
    registry.shadow("all", second)
    registry.promote("all", second)
    assert (registry.roles("all").live, registry.roles("all").shadows) == (second, [])
    assert registry.roll_back("all") == first


def test_a_damaged_ensemble_is_not_promoted_and_the_old_one_stays(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    first, second = ensemble_of("static"), ensemble_of("stacking")
    for card in (first, second):
        registry.add(Entry(card, SCORES))
    path = tmp_path / "models/all" / f"{second.version}.json"
    replace = msgspec.structs.replace
    tree, *others = second.members
    for damaged, said in (
        (replace(second, stacking=b"junk"), "cannot be used: holds a damaged model"),
        (replace(second, stacking=None), "holds no stacking, other than its configuration says"),
        (replace(second, members=(replace(tree, card=99), *others)), "is a card of version 99, this is 1"),
        (replace(second, members=(replace(tree, model=b"junk"), *others)), "cannot be used: member line"),
        (replace(second, members=(replace(tree, code="another"), *others)), "its content is that of another version"),
        (replace(second, members=(*others, tree)), "holds other members than it names: tree, slow, once, line"),
        (replace(second, config=replace(second.config, confidence=0.9)), "its content is that of another version"),
        (replace(second, classes=(0, -1, 1)), "its content is that of another version"),
        (replace(first, version=second.version), "its content is that of another version"),
    ):
        path.write_bytes(sealed(Entry(damaged, SCORES)))
        with pytest.raises(InputError, match=said):
            registry.promote("all", second.version)
        assert registry.roles("all").live == first.version


def test_a_version_of_another_predictor_is_none_of_this_one(registry: Registry, tmp_path: Path) -> None:
    other = msgspec.structs.replace(SECOND.card, name="far", version="").versioned()
    (tmp_path / "models/near" / f"{other.version}.json").write_bytes(
        sealed(msgspec.structs.replace(SECOND, card=other))
    )
    with pytest.raises(InputError, match="cannot be used: it is a version of far, not of near"):
        registry.promote("near", other.version)
    assert registry.roles("near").live == FIRST.card.version


@pytest.mark.parametrize("data", [b'{"sha256": "0", "entry": ' + b"[" * 200_000, b'{"sha256": "\xff", "live": "\xff"}'])
def test_hostile_json_is_a_damaged_file(registry: Registry, tmp_path: Path, data: bytes) -> None:
    near = tmp_path / "models/near"
    (near / f"{SECOND.card.version}.json").write_bytes(data)
    with pytest.raises(InputError, match="cannot be used: "):
        registry.entry("near", SECOND.card.version)
    (near / "roles.json").write_bytes(data)
    with pytest.raises(InputError, match=r"roles\.json: cannot be used: "):
        registry.roles("near")


def test_nobody_goes_back_to_a_version_that_was_none(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "models/near/roles.json").write_bytes(b"{}")
    registry.promote("near", SECOND.card.version)
    with pytest.raises(InputError, match="was the first: there is nothing to go back to"):
        registry.roll_back("near")


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/models/near: cannot be written to: Not a directory"):
        Registry(tmp_path / "file/models").require_usable(["near"])
    with pytest.raises(InputError, match=r"/proc/models/near: cannot be written to: "):
        Registry(Path("/proc/models")).require_usable(["near"])
    Registry(tmp_path / "new/models").require_usable(["near"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_damaged_version_is_not_promoted_and_the_old_one_stays(registry: Registry, tmp_path: Path) -> None:
    first, second = FIRST.card.version, SECOND.card.version
    path = tmp_path / "models/near" / f"{second}.json"
    whole = path.read_bytes()
    swapped = sealed(msgspec.structs.replace(THIRD, card=msgspec.structs.replace(THIRD.card, version=second)))
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
    ("changed", "said"),
    [
        ({"model": packed(b"junk")}, ""),
        ({"classes": (0, 1)}, "predicts a direction, and its model gives 3 numbers"),
        ({"card": 2}, "is a card of version 2, this is 1"),
        ({"model": ZstdCompressor().compress(bytes(MAX_MODEL + 1))}, "it says that it is larger than any"),
        ({"model": pickle.dumps(print)}, "holds a damaged model"),
    ],
    ids=["no model", "other classes", "other inputs", "bomb", "pickle"],
)
def test_a_version_that_no_run_could_adopt_is_not_promoted(
    changed: dict[str, Any], said: str, registry: Registry, tmp_path: Path
) -> None:
    """Its file is whole: another program wrote it. After a restart there would be no predictor at all."""
    card = msgspec.structs.replace(FIRST.card, version="0" * 12, **changed)
    with suppress(ValueError):  # of what cannot be unpacked there is no such thing
        card = msgspec.structs.replace(card, version=card.content())
    (tmp_path / "models" / "near" / f"{card.version}.json").write_bytes(sealed(Entry(card, SCORES)))
    for act in (registry.promote, registry.shadow):
        with pytest.raises(InputError, match=f"{card.version}.*cannot be used: .*{said}"):
            act("near", card.version)
    assert registry.roles("near") == Roles(live=FIRST.card.version)


@pytest.mark.parametrize("damaged", [b"", b"{}", sealed(THIRD)], ids=["truncated", "empty", "another version's"])
def test_a_damaged_version_that_is_made_again_is_whole_again(
    damaged: bytes, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "models/near" / f"{SECOND.card.version}.json").write_bytes(damaged)
    assert registry.add(SECOND), "it is news: it could not be used"
    assert registry.entry("near", SECOND.card.version) == SECOND
    assert not registry.add(SECOND)
    assert registry.roles("near").live == FIRST.card.version


def test_every_damaged_bit_is_told(registry: Registry, tmp_path: Path) -> None:
    """A bit of each byte of the file: its card, its scores, and what holds them."""
    version = SECOND.card.version
    path = tmp_path / "models/near" / f"{version}.json"
    whole = path.read_bytes()
    assert len(whole) > 1_000
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(InputError, match="cannot be used"):
            registry.entry("near", version)
    path.write_bytes(whole + b" ")
    with pytest.raises(InputError, match="cannot be used: its bytes are not those that were written"):
        registry.entry("near", version)
    path.write_bytes(whole)
    assert registry.entry("near", version) == SECOND


def test_a_card_with_a_feature_that_is_none_is_refused(registry: Registry, tmp_path: Path) -> None:
    """Such as one of another version of this program, whose features have other names."""
    entry = msgspec.json.encode(SECOND).replace(b'"vpin"', b'"vpen"')
    foreign = {"sha256": hashlib.sha256(entry).hexdigest(), "entry": msgspec.Raw(entry)}
    (tmp_path / "models/near" / f"{SECOND.card.version}.json").write_bytes(msgspec.json.encode(foreign))
    with pytest.raises(InputError, match="cannot be used: there is no feature 'vpen'; GET /api/feature-specs names"):
        registry.promote("near", SECOND.card.version)
    assert registry.roles("near").live == FIRST.card.version


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

    monkeypatch.setattr("jobs.whole_files.os.fsync", crash)
    with pytest.raises(InputError, match="cannot be written to: No space left on device"):
        registry.promote("near", SECOND.card.version)
    assert registry.roles("near").live == FIRST.card.version
    assert not list((tmp_path / "models/near").glob(".*"))


def test_what_a_kill_has_left_half_written_goes_with_the_next_change(registry: Registry, tmp_path: Path) -> None:
    near = tmp_path / "models/near"
    (near / ".roles.json.4194304.part").write_bytes(b"{")
    (near / f".{'0' * 12}.json.4194304.part").write_bytes(bytes(1_000))
    registry.promote("near", SECOND.card.version)
    assert not list(near.glob(".*"))
    assert registry.versions("near") == [FIRST.card.version, SECOND.card.version, THIRD.card.version]


def test_two_that_roll_back_at_once_go_back_twice(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is to go back to is looked up with the lock held: another process may have gone before."""
    other, look = Registry(tmp_path / "models"), registry.roles
    first, second, third = (entry.card.version for entry in (FIRST, SECOND, THIRD))
    registry.promote("near", second)
    registry.promote("near", third)

    def late(name: str) -> Roles:
        """Let the other process go back between the first look and the change."""
        found = look(name)
        monkeypatch.setattr(registry, "roles", look)
        assert other.roll_back(name) == second
        return found

    monkeypatch.setattr(registry, "roles", late)
    assert registry.roll_back("near") == first
    assert (registry.roles("near").live, registry.roles("near").earlier) == (first, [])


def test_a_change_waits_for_that_of_another_process(tmp_path: Path) -> None:
    held, let_go = Event(), Event()

    def other() -> None:
        """Hold the lock until told to let it go."""
        with alone(tmp_path / "near" / "roles.lock", "never"):
            held.set()
            let_go.wait()

    thread = Thread(target=other)
    thread.start()
    held.wait()
    Timer(0.2, let_go.set).start()
    try:
        assert Registry(tmp_path).add(FIRST)
    finally:
        let_go.set()
        thread.join()
