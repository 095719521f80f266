"""What is late is waited for; what is lost is given up."""

from collections.abc import Iterable

from quicksilver.streaming.patience import PRESSED, SILENT, Patience, Wait


def spans_until_given_up(waits: Iterable[Wait | None]) -> int | None:
    patience = Patience()
    return next((i for i, wait in enumerate(waits) if patience.look(wait)), None)


def test_what_others_pile_up_behind_is_given_up() -> None:
    assert spans_until_given_up(Wait("1", held=i) for i in range(100)) == PRESSED


def test_while_nothing_comes_there_is_patience() -> None:
    silent = [Wait("1", held=5)] * (SILENT - 1)
    assert spans_until_given_up(silent) is None
    assert spans_until_given_up([*silent, *silent]) == SILENT
    pressed = [Wait("1", held=5 + i) for i in range(PRESSED - 1)]
    assert spans_until_given_up([*pressed, *([pressed[-1]] * 100)]) is None
    assert spans_until_given_up([*pressed, *([pressed[-1]] * 100), Wait("1", held=99), Wait("1", held=100)]) is not None


def test_progress_and_repeats_begin_the_time_anew() -> None:
    assert spans_until_given_up(Wait(str(i // 9), held=i) for i in range(1_000)) is None
    assert spans_until_given_up(Wait("1", repeats=i // 9, held=i) for i in range(1_000)) is None
    assert spans_until_given_up(None if i % 9 == 0 else Wait("1", held=i) for i in range(1_000)) is None


def test_a_session_is_over_when_another_has_begun_and_no_more_comes() -> None:
    assert spans_until_given_up([Wait("1", held=1, over=True)] * 100) == PRESSED
