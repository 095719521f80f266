"""``quicksilver train``: features and labels of Cassandra -> a trained model of each instrument -> topic ``models``.

How a model is trained and scored is in ``quicksilver/models/training.py``, how Spark does it in ``training_frames.py``.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from jobs.choices import Span, chosen, names_of, seconds_ns
from jobs.publishing import kafka_servers, publish, require_topic
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.models.training import TrainConfig, better_than_baseline
from quicksilver.records import Model
from quicksilver.topics import Topic
from setup.exits import failing


def run(
    names: Sequence[str], horizons_ns: Sequence[int], span: Span, config: TrainConfig, master: str | None
) -> tuple[list[Model], list[str]]:
    """Return what ``trained_on`` says of the tables.

    Raises:
        InputError: no example is there, or Spark cannot be started.
        StoreError: Cassandra does not answer.
    """
    from jobs.spark import session
    from jobs.spark_tables import connector_conf, keys_of, read
    from jobs.training_frames import trained_on
    from setup.cassandra.client import CassandraSettings

    settings = CassandraSettings.from_environment()
    keys = chosen(keys_of(settings, "labels"), names, "labels")
    with session("quicksilver train", master, connectors=True, conf=connector_conf(settings)) as spark:
        features, labels = (read(spark, settings, topic, keys, span) for topic in ("features", "labels"))
        models, too_few = trained_on(features, labels, config, horizons_ns)
    if not models and not too_few:
        raise InputError("Cassandra has no labelled features of that time and those horizons: nothing to train on")
    return models, too_few


def train_models(
    venue: Annotated[list[str] | None, typer.Option(help="Only this venue's; may be repeated.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only BTC-USD, or kraken:BTC-USD; may be repeated.")] = None,
    horizon: Annotated[list[float] | None, typer.Option(help="Only this horizon, seconds; may be repeated.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on, such as 2026-08-09T05:00 (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    folds: Annotated[int, typer.Option(help="How many later stretches are predicted.", min=1, max=100)] = 5,
    penalty: Annotated[float, typer.Option(help="Of squared weights, beside the mean log-loss.", min=1e-9)] = 0.01,
    publish_it: Annotated[bool, typer.Option("--publish", help="Send them to topic models [KAFKA_SERVERS].")] = False,
    out: Annotated[Path | None, typer.Option(help="File for the models, a line of JSON each.")] = None,
    master: Annotated[str | None, typer.Option(help="local[N], or spark://host:7077 [SPARK_MASTER=local[*]]")] = None,
) -> None:
    """Train a model of each instrument on Cassandra's rows; the last line printed is the summary, one JSON object."""
    started = time.perf_counter()
    with failing():
        if publish_it:
            require_topic(kafka_servers(), Topic("models", Model))
        span = Span.of(since, until)
        horizons_ns = [seconds_ns("--horizon", one) for one in horizon or []]
        config = TrainConfig(folds=folds, penalty=penalty)
        models, too_few = run(names_of(venue or [], symbol or []), horizons_ns, span, config, master)
        for sentence in too_few:
            typer.echo(f"not trained: {sentence}", err=True)
        if not models:
            raise InputError("no model could be trained")
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(b"".join(codec.encode(model) + b"\n" for model in models))
        published = _publish(models) if publish_it else 0
    _print(models, published, time.perf_counter() - started)


def _publish(models: Sequence[Model]) -> int:
    """Publish what beats the baseline on data that it had not seen; the rest would mislead who reads it."""
    published = 0
    for model in models:
        good = better_than_baseline(model)
        if good is None:
            typer.echo(f"not published: {model.venue}:{model.symbol} beats the baseline at no horizon", err=True)
        else:
            publish(good, kafka_servers())
            published += 1
    return published


SCORES = ("n_train", "n_scored", "accuracy", "baseline_accuracy", "log_loss", "baseline_log_loss")


def _print(models: Sequence[Model], published: int, seconds: float) -> None:
    """A table for people, and the summary for programs."""
    typer.echo(f"{'instrument':<24}{'horizon':>10}" + "".join(f"{name:>19}" for name in SCORES))
    for model in models:
        for head in model.heads:
            scores = [getattr(head, name) for name in SCORES]
            cells = [f"{one:>19,}" if isinstance(one, int) else f"{one:>19.4f}" for one in scores]
            typer.echo(f"{f'{model.venue}:{model.symbol}':<24}{head.horizon_ns / 1e9:>8g} s" + "".join(cells))
    told = [
        {
            **{name: getattr(model, name) for name in ("venue", "symbol", "model", "version", "start_ns", "end_ns")},
            "heads": [{name: getattr(head, name) for name in ("horizon_ns", *SCORES)} for head in model.heads],
        }
        for model in models
    ]
    summary: dict[str, Any] = {"models": told, "published": published, "seconds": round(seconds, 2)}
    typer.echo(msgspec.json.encode(summary).decode())


if __name__ == "__main__":
    typer.run(train_models)
