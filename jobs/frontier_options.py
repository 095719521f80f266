"""What the commands on portfolios ask of a price history, told by options, and the history itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from jobs.choices import seconds_ns
from jobs.history import from_files, headings_of
from producers.csv_layout import ColumnChoice
from producers.exchanges.base import Reject
from quicksilver.errors import InputError
from quicksilver.portfolio.constraints import Constraints, Group, place_of
from quicksilver.portfolio.estimators import Estimators
from quicksilver.portfolio.history import History
from quicksilver.portfolio.research import Question

T = TypeVar("T")
Prices = Annotated[list[Path] | None, typer.Argument(help="CSV files of prices or candles, compressed or not.")]
CovarianceOption = Annotated[
    str, typer.Option("--covariance", help="sample, ledoit-wolf, oas, ewm or denoised.", metavar="NAME")
]
MeanOption = Annotated[str, typer.Option("--mean", help="history, james-stein or ewm.", metavar="NAME")]
ReturnsOption = Annotated[
    str, typer.Option("--returns", help="What moments are of: log, as live ones, or simple.", metavar="NAME")
]
HalflifeOption = Annotated[float, typer.Option("--halflife", help="Of ewm, in periods.")]
RiskOption = Annotated[
    str, typer.Option("--risk", help="variance, semi-variance, cvar or max-drawdown.", metavar="NAME")
]
CapOption = Annotated[float, typer.Option("--cap", help="The most of each asset, a share of the money.")]
FloorOption = Annotated[float, typer.Option("--floor", help="The least of each asset; below 0: sold short.")]
BudgetOption = Annotated[float, typer.Option("--budget", help="What is invested; the rest of 1 stays in cash.")]
GroupOption = Annotated[
    list[str] | None,
    typer.Option("--group", help="Several assets' share: NAME:BTC,ETH<=0.5 or NAME:BTC,ETH>=0.1 (again for more)."),
]
MostAssetsOption = Annotated[int | None, typer.Option("--most-assets", help="At most so many are held.")]
TurnoverOption = Annotated[float | None, typer.Option("--turnover", help="The most that is traded, both ways.")]
CurrentOption = Annotated[str, typer.Option("--current", help="What is held: BTC=0.6,ETH=0.4.")]
ConstraintsOption = Annotated[
    Path | None, typer.Option("--constraints", help="TOML file with all of these, also floors and caps by asset.")
]
CashOption = Annotated[float, typer.Option("--cash", help="What cash earns in one period, such as 0.0001.")]
AversionOption = Annotated[float, typer.Option("--aversion", help="To risk, of the highest utility.")]
SeedOption = Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes on any number of cores.")]
PeriodOption = Annotated[
    float | None, typer.Option("--period", help="Seconds to sample all prices by, if times differ.")
]
SymbolsOption = Annotated[str, typer.Option("--symbols", help="Which assets: BTC,ETH-USD ...; all for none.")]
TimeColumn = Annotated[str | None, typer.Option("--time-column", help="Name or position (from 0) of the time.")]
PriceColumn = Annotated[str | None, typer.Option("--price-column", help="Name or position of the price.")]


def constraints_of(
    file: Path | None, budget: float, floor: float, cap: float, groups: Sequence[str], most_assets: int | None,
    turnover: float | None, current: str, known: Constraints | None = None,
) -> Constraints:  # fmt: skip
    """Return the constraints of a file, or else what is ``known``, with what options say instead.

    Raises:
        InputError: an option or the file cannot be read.
    """
    base = (known or Constraints()) if file is None else _of_toml(file)
    plain, given = Constraints(), {"budget": budget, "floor": floor, "cap": cap}
    changed: dict[str, object] = {name: value for name, value in given.items() if value != getattr(plain, name)}
    if groups:
        changed["groups"] = base.groups | _groups(groups)
    if most_assets is not None:
        changed["most_assets"] = most_assets
    if turnover is not None:
        changed["turnover"] = turnover
    if current:
        changed["current"] = _weights(current)
    return msgspec.structs.replace(base, **changed)


def question_of(covariance: str, mean: str, halflife: float, risk: str, constraints: Constraints, cash: float,
                aversion: float, seed: int, *, quasi: bool = False, returns: str = "log") -> Question:  # fmt: skip
    """Return the question that options ask.

    Raises:
        InputError: one names no estimator, no measure of risk or no kind of returns.
    """
    estimators = _checked({"covariance": covariance, "mean": mean, "halflife": halflife}, Estimators)
    given = {"risk": risk, "cash": cash, "aversion": aversion, "seed": seed, "quasi": quasi, "returns": returns}
    return msgspec.structs.replace(_checked(given, Question), estimators=estimators, constraints=constraints)


def history_of(
    prices: Sequence[Path] | None, symbols: str, period: float | None, time_column: str | None,
    price_column: str | None, reject: Reject, say: Callable[[str], None] | None = None, *, partly: bool = False,
) -> tuple[History, list[str]]:  # fmt: skip
    """Return the prices of files, of all assets or the chosen ones, and the assets' names as the files write them.

    ``say`` is told which moments are left out; ``partly`` keeps those at which some asset is not listed, as
    ``from_files`` has it.

    Raises:
        InputError: there are none, or an asset is not there.
    """
    if not prices:
        raise InputError("name files of prices, such as prices.csv")
    period_ns = None if period is None else seconds_ns("--period", period)
    wanted = [one.strip() for one in symbols.split(",") if one.strip()]

    def choose(assets: list[str]) -> list[str]:
        place = {name: i for i, name in enumerate(assets)}
        return sorted({assets[place_of(name, place, "--symbols")] for name in wanted}) if wanted else assets

    columns = ColumnChoice(time_column, price_column)
    history = from_files(prices, reject, columns, period_ns, choose, say, partly=partly)
    written = headings_of(prices, columns)
    return history, [written.get(name, name) for name in history.assets]


def given(context: typer.Context) -> set[str]:
    """Return the names of the options that the user has written."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _checked(given: dict[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].rstrip("`") if "$." in str(error) else ""
        what = f"--{name} {given[name]}: " if name in given else ""
        raise InputError(f"{what}{str(error).partition(' - at ')[0]}; `--help` names all") from error


def _of_toml(file: Path) -> Constraints:
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Constraints)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{file}: {error}") from error


def _groups(texts: Sequence[str]) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    for text in texts:
        name, colon, rest = text.partition(":")
        sign = next((one for one in ("<=", ">=") if one in rest), "")
        members, _, bound = rest.partition(sign or "<=")
        assets = tuple(one.strip() for one in members.split(",") if one.strip())
        if not colon or not sign or not assets:
            raise InputError(f"--group {text}: write NAME:BTC,ETH<=0.5 or NAME:BTC,ETH>=0.1")
        value, before = _number("--group", text, bound), groups.get(name, Group(assets))
        if before.assets != assets:
            raise InputError(f"--group {text}: group {name} has other assets in an option before it")
        changed = {"cap": value} if sign == "<=" else {"floor": value}
        groups[name] = msgspec.structs.replace(before, **changed)
    return groups


def _weights(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, sign, value = part.partition("=")
        if not sign:
            raise InputError(f"--current {text}: write BTC=0.6,ETH=0.4")
        weights[name.strip()] = _number("--current", text, value)
    return weights


def _number(option: str, text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"{option} {text}: {value.strip()!r} is no number") from None
