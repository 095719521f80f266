"""Training on Spark: each predictor is one task, however many cores there are.

A model that is fitted on several workers at once would depend on how its rows lie; one that is fitted by one worker is
the same bytes as in a process of our own.
"""

from collections.abc import Sequence

from jobs.spark import session
from quicksilver.errors import InputError
from quicksilver.learning.tasks import AnyTask, Trained, attempted


def on_spark(tasks: Sequence[AnyTask], master: str) -> list[Trained]:
    """Return what became of each task, in their order.

    Raises:
        InputError: one cannot be done, or Spark cannot be started.
    """
    with session("quicksilver train", master) as spark:
        found = spark.sparkContext.parallelize(tasks, len(tasks)).map(attempted).collect()
    return [_sound(one) for one in found]


def _sound(one: Trained | str) -> Trained:
    if isinstance(one, str):
        raise InputError(one)
    return one
