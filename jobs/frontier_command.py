"""``quicksilver frontier``: price history -> efficient portfolios; in this process, or on Spark for very many draws.

``quicksilver frontier PRICES.csv --covariance ledoit-wolf --cap 0.2 --json``
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from threadpoolctl import threadpool_limits

from jobs import frontier_options as options
from jobs.choices import Span, seconds_ns
from jobs.exact_solver import comparison, picks_table
from jobs.frontier_answer import Answer, Where, answer, simplex
from jobs.history import PriceTable, Source, Stored
from jobs.publishing import kafka_servers, publish, require_topic
from jobs.universe_options import asked_of, assets_of, period_s, unanswered, universe_of
from jobs.universe_options import constraints_of as limits_of
from producers.csv_producer import Letters
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.portfolio.answer import as_json, as_rows
from quicksilver.portfolio.history import History, LargeConfig
from quicksilver.portfolio.research import Question
from quicksilver.topics import FRONTIERS
from setup.exits import failing

DEFAULT, DEFAULT_INSIDE, DEFAULT_PAST = 1_000_000, 100_000, 20_000  # by how long one of them takes
MOST = 1e15  # portfolios; a hundred cores draw them in three days
MINUTE_S = 60.0


def frontier(
    context: typer.Context,
    prices: options.Prices = None,
    covariance: options.CovarianceOption = "ledoit-wolf",
    mean: options.MeanOption = "history",
    returns: options.ReturnsOption = "log",
    halflife: options.HalflifeOption = 60.0,
    risk: options.RiskOption = "variance",
    cap: options.CapOption = 1.0,
    floor: options.FloorOption = 0.0,
    budget: options.BudgetOption = 1.0,
    group: options.GroupOption = None,
    most_assets: options.MostAssetsOption = None,
    turnover: options.TurnoverOption = None,
    current: options.CurrentOption = "",
    constraints: options.ConstraintsOption = None,
    cash: options.CashOption = 0.0,
    aversion: options.AversionOption = 5.0,
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    picture: Annotated[Path | None, typer.Option(help="File for a picture, PNG.")] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="File for picks and frontier, with all weights.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the Frontier record, as JSON.")] = None,
    portfolios: Annotated[float | None, typer.Option(help="How many to draw, such as 1e8.")] = None,
    quasi: Annotated[bool, typer.Option("--quasi", help="Draw Sobol's points, which leave no holes.")] = False,
    seed: options.SeedOption = 7,
    master: Annotated[str | None, typer.Option(help="Spark: local[N], or spark://host:7077 [SPARK_MASTER]")] = None,
    partitions: Annotated[int | None, typer.Option(help="Into how many tasks Spark's work is cut.", min=1)] = None,
    symbols: options.SymbolsOption = "",
    period: options.PeriodOption = None,
    source: Annotated[Source, typer.Option("--from", help="files, or cassandra [CASSANDRA_HOSTS].")] = Source.FILES,
    stored: Annotated[
        PriceTable, typer.Option("--table", help="Cassandra's closes of candles, or mids.")
    ] = PriceTable.CANDLES,
    since: Annotated[str | None, typer.Option(help="Cassandra's from this time on, such as 2026-08-09T05:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Cassandra's before this time.")] = None,
    universe: Annotated[
        str, typer.Option(help="Name and topic key of the result; FILE.toml[:NAME]: all that this universe says.")
    ] = "history",
    publish_it: Annotated[bool, typer.Option("--publish", help="Send it to Kafka [KAFKA_SERVERS].")] = False,
    time_column: options.TimeColumn = None,
    price_column: options.PriceColumn = None,
) -> None:
    """Efficient portfolios of a price history; the last line printed is the summary, one JSON object.

    Up to 10 million portfolios are drawn in this process, more, or with --master, on Spark.
    """
    letters, notes = Letters(lambda text: typer.echo(text, err=True)), list[str]()
    with failing():
        live = universe_of(universe)
        limits = options.constraints_of(
            constraints, budget, floor, cap, group or [], most_assets, turnover, current,
            limits_of(live) if live else None,
        )  # fmt: skip
        question = options.question_of(
            covariance, mean, halflife, risk, limits, cash, aversion, seed, quasi=quasi, returns=returns
        )
        if live:
            question = asked_of(live, question, options.given(context))
            symbols = symbols or ",".join(assets_of(live))
            period = period_s(live) if period is None else period
            portfolios = live.n_portfolios if portfolios is None else portfolios
        config = LargeConfig(live.universe if live else universe, _whole(portfolios, question), question.seed)
        if publish_it:
            require_topic(kafka_servers(), FRONTIERS)
        if source is Source.CASSANDRA:
            history: History | Stored = _stored(prices, stored, symbols, period, since, until)
            written = None
        else:
            history, written = options.history_of(
                prices, symbols, period, time_column, price_column, letters, notes.append
            )
        if live and isinstance(history, History):
            notes += unanswered(live, question, history.every_ns)
        with threadpool_limits(1):  # a product's last digits depend on how many threads share it
            found = answer(history, question, config, Where(master, partitions), written)
        found.research.notes[:0] = notes
        _write(found, out, table, picture)
        if publish_it:
            publish(found.record, kafka_servers())
    if as_object:
        full = as_json(found.research, found.picks, found.frontier, found.drawn)
        typer.echo(msgspec.json.encode(full | {"rejected_rows": letters.count}).decode())
        return
    for line in (*picks_table(found.research, found.picks), *comparison(found.research, found.picks)):
        typer.echo(line)
    typer.echo(msgspec.json.encode(_summary(found, letters.count, publish_it)).decode())


def _summary(found: Answer, rejected: int, published: bool) -> dict[str, Any]:
    record, research = found.record, found.research
    drawn = {"least_risk": found.drawn.calmest, "highest_ratio": found.drawn.sharpest}
    return {
        "portfolios": record.n_portfolios, **found.took, "seed": research.question.seed, "universe": record.universe,
        "assets": record.assets, "observations": record.n_observations, "rejected_rows": rejected,
        "published": published, "risk": research.question.risk, "notes": research.notes,
        "picks": {name: {"mean": one.mean, "risk": one.risk} for name, one in found.picks.items()},
        "best_drawn": {name: {"mean": one.mean, "risk": one.risk} for name, one in drawn.items()},
    }  # fmt: skip


def _stored(
    prices: Sequence[Path] | None, table: PriceTable, symbols: str, period: float | None, since: str | None,
    until: str | None,
) -> Stored:  # fmt: skip
    if prices:
        raise InputError(f"prices are either in files, such as {prices[0]}, or --from cassandra")
    every_ns = seconds_ns("--period", MINUTE_S if period is None else period)
    return Stored(table.value, symbols, every_ns, Span.of(since, until))


def _whole(portfolios: float | None, question: Question) -> int:
    if portfolios is None:
        inside = DEFAULT_INSIDE if question.risk == "variance" else DEFAULT_PAST
        return DEFAULT if simplex(question) else inside
    if not 1 <= portfolios <= MOST or portfolios % 1:
        raise InputError(f"--portfolios {portfolios:g} is no whole number from 1 to {MOST:g}")
    return int(portfolios)


def _write(found: Answer, out: Path | None, table: Path | None, picture: Path | None) -> None:
    for path in filter(None, (out, table, picture)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if out is not None:
        out.write_bytes(codec.encode(found.record) + b"\n")
    if table is not None:
        rows = as_rows(found.research, found.picks, found.frontier)
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    if picture is not None:
        from jobs.frontier_picture import draw

        picture.write_bytes(draw(found.research, found.picks, found.frontier, found.drawn))


if __name__ == "__main__":
    typer.run(frontier)
