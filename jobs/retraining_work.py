"""The work of one training that nobody has asked for by hand: from the newest data to a version in the registry."""

from pathlib import Path
from typing import NamedTuple

from jobs.feature_histories import histories_of
from jobs.registry import Entry, Registry, code_digest
from producers.exchanges.base import ignore
from quicksilver.errors import InputError
from quicksilver.learning.config import MAX_SILENT, PredictorConfig
from quicksilver.learning.datasets import MINUTE_NS, frame_of
from quicksilver.learning.training import trained
from quicksilver.learning.validation import MAJORITY, MODEL, validated, walk


class Job(NamedTuple):
    """What to train, of which source (as ``histories_of`` names them), into which registry."""

    name: str
    config: PredictorConfig
    source: str
    folder: Path


class Made(NamedTuple):
    """A version that is in the registry, whether it was ``new`` there, and how it did in the walk-forward run."""

    version: str
    new: bool
    told: str


def retrained(job: Job) -> Made:
    """Train a predictor of what its source holds now, and keep the version, which is live if it is the first.

    Raises:
        InputError: the data cannot be learned from, or the registry cannot be written to; nothing is kept then.
        StoreError: Cassandra does not answer.
    """
    found = histories_of(job.source, job.config.features, ignore, back_ns=reach_ns(job.config))
    histories = [one for one in found if job.config.wants(one.venue, one.symbol)]
    if not histories:
        there = ", ".join(f"{one.venue}:{one.symbol}" for one in found) or "none"
        raise InputError(f"{job.source} has no instrument of the predictor's; it has {there}")
    frame = frame_of(histories, job.config)
    validation = validated(walk(frame, job.config), job.config.seed)
    entry = Entry(trained(job.name, frame, job.config, code_digest()), validation)
    return Made(entry.card.version, Registry(job.folder).add(entry), told(entry))


def reach_ns(config: PredictorConfig) -> int | None:
    """Return how far back the rows go that a predictor learns from, counted from the newest; None: all of them.

    Before its examples lie the moves that they look back on, each perhaps after a silence that is none yet, and after
    them an outcome that is not known.
    """
    if not config.minutes_back:
        return None
    moves_ns = (config.datasetinputs + 2) * MAX_SILENT * config.every_ns
    return round(config.minutes_back * MINUTE_NS) + moves_ns + 2 * config.horizon_ns


def told(entry: Entry) -> str:
    """Return how a version did in the walk-forward run beside the majority, for people."""
    scores = entry.validation.scores
    model, majority = scores[MODEL]["log_loss"], scores[MAJORITY]["log_loss"]
    return (
        f"walk-forward log-loss {model.value:.4f} nats ({model.low:.4f} to {model.high:.4f}), majority"
        f" {majority.value:.4f}, {entry.validation.n} decisions"
    )
