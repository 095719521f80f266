"""What tables say of a version where there is nothing to say."""

from rich.console import Console

from jobs.reports import scores
from quicksilver.learning.results import BASELINES, MODEL, Interval, Validation
from quicksilver.learning.scores import MEASURES


def table_of(confusion: tuple[tuple[int, ...], ...]) -> str:
    one, console = Interval(-0.001, -16.18, 1.5, -16.18, 1.5), Console(width=200)
    every = dict.fromkeys(MEASURES, one)
    with console.capture() as said:
        console.print(scores(Validation(9, 8, 1, 0, 1, dict.fromkeys((MODEL, *BASELINES), every), every, confusion)))
    return next(line for line in said.get().splitlines() if "profit" in line)


def test_of_who_never_traded_no_range_of_profits_is_told() -> None:
    idle, trading = table_of(((0, 3, 0),) * 3), table_of(((1, 3, 0),) * 3)
    assert "never traded" in idle
    assert "16.18" not in idle
    assert "-16.18 to 1.50" in trading
    assert "-0.00" not in trading
