"""The work of one training that nobody has asked for by hand: from the newest data to a version in the registry."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jobs.choices import Span
from jobs.feature_histories import histories_of
from jobs.gathering import Gathered
from jobs.registry import Registry
from jobs.training import ensemble_task_of, entries_of, task_of
from producers.exchanges.base import ignore
from quicksilver.learning.config import MAX_SILENT, PredictorConfig
from quicksilver.learning.config_file import Predictors
from quicksilver.learning.datasets import MINUTE_NS
from quicksilver.learning.entry import Entry
from quicksilver.learning.results import MAJORITY, MODEL, NOTHING
from quicksilver.learning.tasks import AnyTask, Trained, trained_and_judged
from quicksilver.learning.usable import FOLDS
from quicksilver.learning.verdict import JUDGED_BY


class Job(NamedTuple):
    """What to train: a predictor or an ensemble of a file, of which source (as ``histories_of`` names them).

    The version goes into the registry in ``folder``. With a ``master`` it is trained on Spark, else here.
    """

    name: str
    file: Predictors
    source: str
    folder: Path
    master: str | None = None


class Made(NamedTuple):
    """A version that is in the registry, whether it was ``new`` there, and how it did in the walk-forward run."""

    version: str
    new: bool
    told: str


def retrained(job: Job) -> Made:
    """Train of what the source holds now, and keep the version, which is live if it is the first.

    Raises:
        InputError: the data cannot be learned from, or the registry cannot be written to; nothing is kept then.
        StoreError: Cassandra does not answer.
    """
    registry = Registry(job.folder)
    ((entry, _),) = entries_of([_trained(task_in(job), job.master)], registry)
    return Made(entry.card.version, registry.add(entry), told(entry))


def _trained(task: AnyTask, master: str | None) -> Trained:
    if master is None:
        return trained_and_judged(task)
    from jobs.spark_training import on_spark

    (one,) = on_spark([task], master)
    return one


def task_in(job: Job) -> AnyTask:
    """Return what there is to do, with the data.

    Raises:
        InputError: the data or the configuration cannot be used.
        StoreError: Cassandra does not answer.
    """
    ensemble = job.file.ensembles.get(job.name)
    names = [job.name] if ensemble is None else [one.predictor for one in ensemble.members]
    configs = {name: job.file.predictors[name] for name in names}
    features = tuple(dict.fromkeys(name for config in configs.values() for name in config.features))
    data = Gathered(features, histories_of(job.source, features, ignore, back_ns=reach_ns(configs.values())))
    if ensemble is None:
        return task_of(job.name, configs[job.name], data.of(configs[job.name]))
    return ensemble_task_of(job.name, ensemble, configs, data, Span())


def reach_ns(configs: Iterable[PredictorConfig]) -> int | None:
    """Return how far back the rows go that predictors are made and judged of, from the newest; None: all of them.

    A walk-forward run cuts them into parts and judges all but the first, each by a model of ``minutes_back`` before it:
    so that the first judged part has as much before it as the new version has, each part is that long. Before all lie
    the decisions that they look back on, each perhaps after a silence that is none yet, and after them an outcome that
    is not known.
    """
    reaches = []
    for config in configs:
        if not config.minutes_back:
            return None
        decisions = max(config.datasetinputs, config.sequence) + 2
        looked_back_ns = decisions * MAX_SILENT * config.every_ns
        judged_ns = (FOLDS + 1) * round(config.minutes_back * MINUTE_NS)
        reaches.append(judged_ns + looked_back_ns + 2 * config.horizon_ns)
    return max(reaches)


def told(entry: Entry) -> str:
    """Return how a version did in the walk-forward run beside its baseline, for people."""
    measure = JUDGED_BY[entry.card.target]
    model, majority, nothing = (entry.validation.scores[who][measure] for who in (MODEL, MAJORITY, NOTHING))
    interval, n = f"({model.low:.4f} to {model.high:.4f})", entry.validation.n
    if entry.card.target == "return":
        return (
            f"walk-forward profit {model.value:.4f} bps a decision {interval}, doing nothing {nothing.value:.4f}, {n}"
            " decisions"
        )
    return f"walk-forward log-loss {model.value:.4f} nats {interval}, majority {majority.value:.4f}, {n} decisions"
