"""``quicksilver backtest``: each pick walked forward over a price history, after costs, beside holding.

``quicksilver backtest PRICES.csv --window 250 --every 20 --fee-bps 10``
"""

from typing import Annotated

import msgspec
import typer
from threadpoolctl import threadpool_limits

from jobs import frontier_options as options
from producers.csv_producer import Letters
from quicksilver.portfolio.backtest import stood_in, walk
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.judging import Judged, judged, periods_a_year
from quicksilver.portfolio.listing import Plan, not_all_along
from setup.exits import failing


def backtest(
    prices: options.Prices = None,
    window: Annotated[int, typer.Option(help="Periods to learn from, before each rebalancing.")] = 250,
    every: Annotated[int, typer.Option(help="Periods from one rebalancing to the next.")] = 20,
    fee_bps: Annotated[float, typer.Option(help="Of what is traded.")] = 10.0,
    spread_bps: Annotated[float, typer.Option(help="Half of it is paid on what is traded.")] = 5.0,
    impact_bps: Annotated[float, typer.Option(help="On a trade of the whole portfolio; less in proportion.")] = 10.0,
    band: Annotated[float, typer.Option(help="Nothing is traded below this turnover.")] = 0.0,
    delay: Annotated[int, typer.Option(help="Periods from the last price that is learnt from to the trade.")] = 0,
    delisted: Annotated[
        float, typer.Option(help="What is lost of an asset with its last price; the rest is cash.")
    ] = 0.0,
    covariance: options.CovarianceOption = "ledoit-wolf",
    mean: options.MeanOption = "history",
    halflife: options.HalflifeOption = 60.0,
    risk: options.RiskOption = "variance",
    cap: options.CapOption = 1.0,
    floor: options.FloorOption = 0.0,
    budget: options.BudgetOption = 1.0,
    group: options.GroupOption = None,
    most_assets: options.MostAssetsOption = None,
    turnover: options.TurnoverOption = None,
    constraints: options.ConstraintsOption = None,
    cash: options.CashOption = 0.0,
    aversion: options.AversionOption = 5.0,
    seed: options.SeedOption = 7,
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    symbols: options.SymbolsOption = "",
    period: options.PeriodOption = None,
    time_column: options.TimeColumn = None,
    price_column: options.PriceColumn = None,
) -> None:
    """Walk each pick forward over a price history; the last line printed is the summary, one JSON object."""
    letters, notes = Letters(lambda text: typer.echo(text, err=True)), list[str]()
    with failing():
        limits = options.constraints_of(constraints, budget, floor, cap, group or [], most_assets, turnover, "")
        question = options.question_of(covariance, mean, halflife, risk, limits, cash, aversion, seed)
        plan = Plan(window, every, band, Costs(fee_bps, spread_bps, impact_bps), delay, delisted)
        history, written = options.history_of(
            prices, symbols, period, time_column, price_column, letters, notes.append, partly=True
        )  # fmt: skip
        history = history._replace(assets=written)
        with threadpool_limits(1):  # a product's last digits depend on how many threads share it
            tracks = walk(history, question, plan)
            notes += [*not_all_along(history, plan), *stood_in(tracks, question)]
            a_year = periods_a_year(history)
            rows = [judged(name, track, cash, a_year, seed) for name, track in tracks.items()]
    if not as_object:
        for line in (*_table(rows), *(f"note: {note}" for note in notes)):
            typer.echo(line)
    summary = {
        "assets": history.assets, "moments": len(history.times_ns), "periods": len(next(iter(tracks.values())).returns),
        "rebalancings": len(next(iter(tracks.values())).costs), "periods_a_year": round(a_year, 3), "plan": plan,
        "estimators": question.estimators, "constraints": limits, "risk": risk, "cash": cash, "seed": seed,
        "rejected_rows": letters.count, "notes": notes, "strategies": rows,
    }  # fmt: skip
    typer.echo(msgspec.json.encode(summary).decode())


def _table(rows: list[Judged]) -> list[str]:
    lines = [
        f"{'after costs':<26}{'total':>10}{'a year':>9}{'volatility':>12}{'Sharpe':>8}{'95 %':>16}{'drawdown':>10}"
        f"{'turnover':>10}{'cost':>8}"
    ]
    for one in sorted(rows, key=lambda row: -row.sharpe):
        span = f"{one.sharpe_low:.2f} to {one.sharpe_high:.2f}"
        lines.append(
            f"{one.name:<26}{one.total_return:>10.1%}{one.annual_return:>9.1%}{one.annual_volatility:>12.1%}"
            f"{one.sharpe:>8.2f}{span:>16}{one.max_drawdown:>10.1%}{one.turnover:>10.1%}{one.cost:>8.2%}"
        )
    return lines


if __name__ == "__main__":
    typer.run(backtest)
