"""Roles of versions: one is live, no shadow is, and each roll back undoes a promotion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quicksilver.models.roles import KEPT, Roles

VERSIONS = st.sampled_from("abcd")


@given(st.lists(st.tuples(st.sampled_from(["promote", "shadow", "unshadow"]), VERSIONS), max_size=30))
def test_the_live_version_is_no_shadow_and_each_roll_back_undoes_a_promotion(done: list[tuple[str, str]]) -> None:
    roles, promoted = Roles(live="a"), ["a"]
    for what, version in done:
        try:
            getattr(roles, what)(version)
        except ValueError:
            continue
        if what == "promote":
            promoted.append(version)
        assert roles.live not in roles.shadows
        assert roles.of(roles.live) == "live"
    while len(promoted) > 1:
        promoted.pop()
        assert roles.roll_back() == promoted[-1] == roles.live
        assert roles.live not in roles.shadows
    with pytest.raises(ValueError, match="a was the first: there is nothing to go back to"):
        roles.roll_back()


def test_what_cannot_be_done_changes_nothing() -> None:
    roles = Roles(live="a", shadows=["b"], earlier=["c"])
    for what, version, said in [
        ("promote", "a", "a is live already"),
        ("shadow", "a", "a is live: it cannot be its own shadow"),
        ("unshadow", "c", "c is no shadow"),
    ]:
        with pytest.raises(ValueError, match=said):
            getattr(roles, what)(version)
        assert roles == Roles(live="a", shadows=["b"], earlier=["c"])


def test_the_earliest_of_very_many_are_forgotten() -> None:
    roles = Roles(live="0")
    for number in range(1, 2 * KEPT):
        roles.promote(str(number))
    assert roles.earlier == [str(number) for number in range(KEPT - 1, 2 * KEPT - 1)]
