"""``quicksilver frontier`` on tables that spreadsheets and scripts have damaged: nothing is lost unsaid."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from jobs.cli import app

NAMES = ["BTC", "ETH", "SOL"]
DAYS = [str(np.datetime64("2021-01-01") + i) for i in range(60)]
PRICES = 100 * np.exp(np.random.default_rng(5).normal(0.002, 0.02, (len(DAYS), 3)).cumsum(axis=0))
TABLE = [["date", *NAMES], *([day, *map(repr, row)] for day, row in zip(DAYS, PRICES.tolist(), strict=True))]
Rows = list[list[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prices.csv"


def asked(path: Path, rows: Rows, *options: str, encoding: str = "utf-8") -> Result:
    path.write_text("".join(",".join(row) + "\n" for row in rows), encoding)
    return CliRunner().invoke(app, ["frontier", str(path), *options])


def answer(path: Path, rows: Rows, encoding: str = "utf-8") -> dict[str, Any]:
    result = asked(path, rows, "--json", encoding=encoding)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("text", ["hello", "1.2.3", "3\x004"])
def test_one_damaged_price_costs_its_row_not_its_asset(path: Path, text: str) -> None:
    rows = [row.copy() for row in TABLE]
    rows[30][2] = text
    found = answer(path, rows)
    assert found["assets"] == NAMES
    assert (found["rejected_rows"], found["observations"]) == (1, len(DAYS) - 2)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda row, i: [*row, "" if i else "DOGE"], "left out, without any price: DOGE"),
        (lambda row, i: [*row, "7.5" if i else ""], "not read: column 5 (without a name)"),
        (lambda row, i: [*row, "fine" if i else "comment"], "not read: comment"),
    ],
)
def test_a_column_that_is_no_assets_is_said(
    path: Path, change: Callable[[list[str], int], list[str]], note: str
) -> None:
    found = answer(path, [change(row, i) for i, row in enumerate(TABLE)])
    assert found["assets"] == NAMES
    assert found["notes"] == [f"{path}: {note}"]


def test_an_empty_last_column_is_no_news(path: Path) -> None:
    assert answer(path, [[*row, ""] for row in TABLE])["notes"] == []


def test_prices_that_contradict_each_other_are_said_once(path: Path) -> None:
    again = [TABLE[20][0], "90.0", TABLE[20][2], "80.0"]
    notes = answer(path, [*TABLE[:21], again, *TABLE[21:], TABLE[5]])["notes"]
    assert notes == [f"{path}: 1 moment has different prices of BTC-USD, SOL-USD: the last in the file counts"]


def test_a_row_with_a_price_too_many_is_refused(path: Path) -> None:
    rows = [*TABLE[:10], [*TABLE[10][:1], "1", *TABLE[10][1:]], *TABLE[11:]]  # 1,100.5 without quotes
    result = asked(path, rows, "--json")
    assert f"{path}:11: 5 columns, where the header names 4" in result.stderr
    assert json.loads(result.stdout)["observations"] == len(DAYS) - 2
    result = asked(path, [row[:1] + ["1"] * (i > 0) + row[1:] for i, row in enumerate(TABLE)])
    assert result.exit_code == 2
    assert "no row could be read (60 rejected); the first: 5 columns, where the header names 4" in result.stderr


def test_a_spreadsheets_unicode_text_is_read(path: Path) -> None:
    assert answer(path, TABLE, "utf-16")["picks"] == answer(path, TABLE)["picks"]


def test_a_file_without_a_header_and_one_of_very_many_assets_are_refused_briefly(path: Path) -> None:
    assert "one whose first row names a column for each" in asked(path, TABLE[1:]).stderr
    wide = [["date", *(f"A{i:03}" for i in range(300))], *([day, *["5.5"] * 300] for day in DAYS[:20])]
    error = asked(path, wide).stderr
    assert "A011 and 288 more have a price" in error
    assert "A012" not in error


def test_the_table_of_picks_quotes_names_with_commas(path: Path, tmp_path: Path) -> None:
    table = tmp_path / "picks.csv"
    result = asked(path, [["date", '"Coin, first"', "ETH", "SOL"], *TABLE[1:]], "--csv", str(table))
    assert result.exit_code == 0, result.output
    header, *rows = csv.reader(table.read_text().splitlines())
    assert header[4:] == ["Coin, first", "ETH", "SOL"]
    assert {len(row) for row in rows} == {len(header)}
