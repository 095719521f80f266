"""``quicksilver frontier FILE --json`` on files as people have them: an answer or a sentence, never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from jobs.cli import app
from tests.jobs.test_frontier_command import walk

N = 120
DAYS = [str(day) for day in np.datetime64("2020-01-01") + np.arange(N)]
TABLE = [[f"{price:.4f}" for price in row] for row in walk(3, N).tolist()]


def text(times: list[str] = DAYS, table: list[list[str]] = TABLE, header: str = "date,A,B,C", comma: str = ",") -> str:
    lines = [header.replace(",", comma), *(comma.join([time, *row]) for time, row in zip(times, table, strict=True))]
    return "\n".join(lines) + "\n"


def each(change: Callable[[int, int, str], str]) -> list[list[str]]:
    return [[change(i, j, cell) for j, cell in enumerate(row)] for i, row in enumerate(TABLE)]


def asked(path: Path, content: str | bytes, *options: str) -> Result:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    result = CliRunner().invoke(app, ["frontier", str(path), "--json", "--portfolios", "500", *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return json.loads(asked(tmp_path_factory.mktemp("plain") / "plain.csv", text()).stdout)


SHUFFLED = [int(i) for i in np.random.default_rng(1).permutation(N)]
SAME = {
    "byte order mark": "\ufeff" + text(),
    "crlf": text().replace("\n", "\r\n"),
    "semicolons": text(comma=";"),
    "tabs": text(comma="\t"),
    "decimal commas": text(table=each(lambda i, j, cell: cell.replace(".", ",")), comma=";"),
    "out of order": text([DAYS[i] for i in SHUFFLED], [TABLE[i] for i in SHUFFLED]),
    "newest first": text(DAYS[::-1], TABLE[::-1]),
    "compact dates": text([day.replace("-", "") for day in DAYS]),
    "dates of Europe": text([f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in DAYS]),
    "days before months": text([f"{day[8:]}/{day[5:7]}/{day[:4]}" for day in DAYS]),
    "dates of America": text([f"{day[5:7]}/{day[8:]}/{day[:4]}" for day in DAYS]),
    "months": text([f"{1990 + i // 12}-{i % 12 + 1:02d}" for i in range(N)]),
    "unix times": text([str(1577836800 + 86400 * i) for i in range(N)]),
    "zones": text([f"{day}T00:00:00+00:00" for day in DAYS]),
    "unnamed times": text(header=",A,B,C"),
    "a column of words": text(table=[[row[0], "tech", *row[1:]] for row in TABLE], header="date,A,sector,B,C"),
    "a comment": "# prices of three\n" + text(),
    "each day twice": text([day for day in DAYS for _ in (1, 2)], [row for row in TABLE for _ in (1, 2)]),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_prices_written_otherwise_are_the_same_answer(plain: Any, tmp_path: Path, name: str) -> None:
    found = json.loads(asked(tmp_path / "prices.csv", SAME[name]).stdout)
    assert found["assets"] == ["A", "B", "C"]
    for part in ("mean", "covariance", "picks", "frontier"):
        assert found[part] == plain[part]


@pytest.mark.parametrize("mark", ["", "NaN", "N/A", "null", "-"])
def test_missing_prices_are_left_out_and_said(plain: Any, tmp_path: Path, mark: str) -> None:
    gaps = each(lambda i, j, cell: mark if (i in range(40, 50) and j == 1) or (i == 7 and j == 0) else cell)
    found = json.loads(asked(tmp_path / "prices.csv", text(table=gaps)).stdout)
    assert found["observations"] == plain["observations"] - 11
    assert found["notes"][0] == ("11 of 120 moments lack a price of some asset and are left out: B-USD has one at 110")


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "the file is empty"),
    "blank": ("\n\n\n", "nothing but empty lines"),
    "a header": ("date,A,B\n", "no row with a time and a price"),
    "one asset": (text(table=[row[:1] for row in TABLE], header="date,A"), "two assets or more; there is A"),
    "one name twice": (text(header="date,A,B,a"), "columns 'A' and 'a' are both prices of A-USD: rename one"),
    "no times": ("A,B,C\n" + "\n".join(",".join(row) for row in TABLE) + "\n", "no row with a time and a price"),
    "negative": (text(table=each(lambda i, j, cell: "-" + cell)), "no row could be read (120 rejected)"),
    "few days": (text(DAYS[:20], TABLE[:20]), "20 moments at which all of A, B, C have a price; 31 are needed"),
    "bytes": (bytes(np.random.default_rng(3).integers(0, 256, 3000, dtype=np.uint8)), "prices.csv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_price_history_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, why = REFUSED[name]
    result = asked(tmp_path / "prices.csv", content)
    assert (result.exit_code, result.stdout) == (2, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert why in last


UNIVERSES = """
[universes.careful]
assets = ["kraken:A-USD", "B-USD"]
period = "1d"
covariance = "ledoit-wolf"
mean = "james-stein"
aversion = 2.0
cash = 0.0001
window = 100
hold = 5
[universes.careful.constraints]
cap = 0.8
current = { "kraken:A-USD" = 0.8, B-USD = 0.2 }
[universes.careful.costs]
fee_bps = 3000.0

[universes.seer]
mean = "predictions"
"""


@pytest.fixture
def universes(tmp_path: Path) -> Path:
    path = tmp_path / "universes.toml"
    path.write_text(UNIVERSES)
    return path


def test_a_universe_is_asked_with_all_that_a_history_can_answer(tmp_path: Path, universes: Path) -> None:
    found = json.loads(asked(tmp_path / "p.csv", text(), "--universe", f"{universes}:careful").stdout)
    assert found["assets"] == ["A", "B"]
    assert (found["estimators"]["mean"], found["cash"], found["aversion"]) == ("james-stein", 0.0001, 2.0)
    assert found["constraints"]["cap"] == 0.8
    picks = found["picks"]
    assert picks["current"]["weights"] == {"A": 0.8, "B": 0.2}
    for name in ("max_sharpe", "min_variance", "max_utility"):  # no trade is worth a third of the money
        assert picks.get(name, picks["current"])["weights"] == {"A": 0.8, "B": 0.2}
    parity = picks["risk_parity"]  # a rule is followed whatever it costs
    assert parity["turnover"] == pytest.approx(2 * (0.8 - parity["weights"]["A"]))
    assert parity["cost"] > 0.3 * parity["turnover"]
    assert found["notes"][0] == "a history has no use for the venues of assets, window of universe careful"
    assert any("what is held stays: no trade is worth its cost" in note for note in found["notes"])


def test_options_beside_a_universe_count_instead(tmp_path: Path, universes: Path) -> None:
    options = ("--universe", f"{universes}:careful", "--mean", "history", "--cash", "0", "--cap", "0.9")
    found = json.loads(asked(tmp_path / "p.csv", text(), *options).stdout)
    assert (found["estimators"]["mean"], found["cash"], found["constraints"]["cap"]) == ("history", 0.0, 0.9)
    coarse = json.loads(asked(tmp_path / "p.csv", text(), *options, "--period", "172800").stdout)
    assert coarse["observations"] == 59
    assert any("prices are 2 d apart, the period of universe careful is 24 h" in note for note in coarse["notes"])


def test_a_universe_that_a_history_cannot_answer_is_refused(tmp_path: Path, universes: Path) -> None:
    for given, why in [
        (universes, "it holds careful, seer: say which"),
        (f"{universes}:other", "there is no universe 'other' in it; there are careful, seer"),
        (f"{universes}:seer", 'universe seer: mean = "predictions" is told live, not by prices'),
        (tmp_path / "none.toml", "No such file"),
    ]:
        result = asked(tmp_path / "p.csv", text(), "--universe", str(given))
        assert result.exit_code == 2
        assert why in result.stderr.splitlines()[-1]
