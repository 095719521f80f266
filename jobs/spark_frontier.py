"""``quicksilver frontier``: price history -> a large Monte Carlo on Spark -> one ``Frontier``.

``python -m jobs.spark_frontier PRICES.csv --portfolios 1e8``, or ``--from cassandra --symbols BTC-USD,ETH-USD``
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from jobs.choices import Span, seconds_ns
from jobs.history import PriceTable, Source, Stored, from_files
from jobs.publishing import kafka_servers, publish, require_topic
from producers.csv_layout import ColumnChoice
from producers.csv_producer import Letters
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.portfolio.history import History, LargeConfig, Study
from quicksilver.portfolio.large import Best, Sweep, merge, nobody, reduce_chunks
from quicksilver.records import Frontier
from quicksilver.topics import FRONTIERS
from setup.exits import failing

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SLICES_PER_CORE = 8  # a core that is slower than the others takes fewer
MOST = 1e15  # portfolios; a hundred cores draw them in three days
MINUTE_S = 60.0


def sweep_on(spark: "SparkSession", sweep: Sweep, partitions: int | None = None) -> Best:
    """Run all chunks of a sweep on Spark, in so many partitions."""
    context = spark.sparkContext
    slices = partitions or min(sweep.n_chunks, SLICES_PER_CORE * context.defaultParallelism)
    found = context.range(sweep.n_chunks, numSlices=slices).mapPartitions(lambda chunks: [reduce_chunks(sweep, chunks)])
    best = nobody(sweep.n_bins)
    for one in found.collect():
        best = merge(best, one)
    return best


def run(source: "History | Stored", config: LargeConfig, master: str | None, partitions: int | None) -> dict[str, Any]:
    """Return the record and what the run took.

    Raises:
        InputError: the history is too little, or Spark cannot be started.
    """
    study = Study(source, config) if isinstance(source, History) else None  # before Spark starts, which takes seconds
    from jobs.spark import session

    started, conf = time.perf_counter(), {} if isinstance(source, History) else source.conf
    with session("quicksilver frontier", master, connectors=bool(conf), conf=conf) as spark:
        study = study or Study(source if isinstance(source, History) else source.read(spark), config)
        ready = time.perf_counter()
        best = sweep_on(spark, study.sweep, partitions)
        seconds = time.perf_counter() - ready
        at = {"master": spark.sparkContext.master, "cores": spark.sparkContext.defaultParallelism}
    return {
        "frontier": study.frontier(best), "start_s": round(ready - started, 2), "seconds": round(seconds, 2),
        "portfolios_per_s": round(config.n_portfolios / seconds), **at, "drawn": study.drawn(best),
    }  # fmt: skip


def frontier(
    prices: Annotated[
        list[Path] | None, typer.Argument(help="CSV files of prices or candles, compressed or not.")
    ] = None,
    portfolios: Annotated[float, typer.Option(help="How many to draw, such as 1e8.")] = 1e8,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes on any number of cores.")] = 7,
    master: Annotated[str | None, typer.Option(help="local[N], or spark://host:7077 [SPARK_MASTER=local[*]]")] = None,
    partitions: Annotated[int | None, typer.Option(help="Into how many tasks the work is cut.", min=1)] = None,
    period: Annotated[float | None, typer.Option(help="Seconds to sample all prices by, if times differ.")] = None,
    source: Annotated[Source, typer.Option("--from", help="files, or cassandra [CASSANDRA_HOSTS].")] = Source.FILES,
    table: Annotated[PriceTable, typer.Option(help="Cassandra's closes of candles, or mids.")] = PriceTable.CANDLES,
    symbols: Annotated[str, typer.Option(help="Which of Cassandra's: BTC-USD,kraken:ETH-USD ...; all for none.")] = "",
    since: Annotated[str | None, typer.Option(help="Cassandra's from this time on, such as 2026-08-09T05:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Cassandra's before this time.")] = None,
    universe: Annotated[str, typer.Option(help="Name and topic key of the result.")] = "history",
    publish_it: Annotated[bool, typer.Option("--publish", help="Send it to Kafka [KAFKA_SERVERS].")] = False,
    out: Annotated[Path | None, typer.Option(help="File for the record, as JSON.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Name or position (from 0) of the time.")] = None,
    price_column: Annotated[str | None, typer.Option(help="Name or position of the price.")] = None,
) -> None:
    """Draw very many portfolios of a price history on Spark; the last line printed is the summary, one JSON object."""
    letters = Letters(lambda text: typer.echo(text, err=True))
    with failing():
        config = LargeConfig(universe, _whole(portfolios), seed)
        period_ns = None if period is None else seconds_ns("--period", period)
        if publish_it:
            require_topic(kafka_servers(), FRONTIERS)
        if source is Source.CASSANDRA:
            if prices:
                raise InputError(f"prices are either in files, such as {prices[0]}, or --from cassandra")
            chosen_ns = period_ns or seconds_ns("--period", MINUTE_S)
            history: History | Stored = Stored(table.value, symbols, chosen_ns, Span.of(since, until))
        else:
            history = from_files(_some(prices), letters, ColumnChoice(time_column, price_column), period_ns)
        result = run(history, config, master, partitions)
        record: Frontier = result.pop("frontier")
        _write(record, out)
        if publish_it:
            publish(record, kafka_servers())
    drawn = {name: _numbers(pick) for name, pick in result.pop("drawn").items()}
    summary = {
        "portfolios": record.n_portfolios, **result, "seed": seed, "universe": universe, "assets": record.assets,
        "observations": record.n_observations, "rejected_rows": letters.count, "published": publish_it,
        "picks": {name: _numbers(pick) for name, pick in record.picks.items()}, "best_drawn": drawn,
    }  # fmt: skip
    typer.echo(msgspec.json.encode(summary).decode())


def _whole(portfolios: float) -> int:
    if not 1 <= portfolios <= MOST or portfolios % 1:
        raise InputError(f"--portfolios {portfolios:g} is no whole number from 1 to {MOST:g}")
    return int(portfolios)


def _some(prices: list[Path] | None) -> list[Path]:
    if not prices:
        raise InputError("name files of prices, or --from cassandra")
    return prices


def _write(record: Frontier, out: Path | None) -> None:
    if out is None:
        typer.echo(codec.encode(record).decode())
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(codec.encode(record) + b"\n")


def _numbers(pick: Any) -> dict[str, float]:
    return {name: round(getattr(pick, name), 6) for name in ("mean_bps", "risk_bps", "sharpe")}


if __name__ == "__main__":
    typer.run(frontier)
