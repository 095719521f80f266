"""Where predictors are trained: in this process, in several, or on Spark; each gives the same bytes."""

from collections.abc import Sequence

from joblib import Parallel, delayed

from jobs.progress import bars
from quicksilver.learning.tasks import STEPS, AnyTask, Trained, trained_and_judged


def trained_all(tasks: Sequence[AnyTask], jobs: int = 1, master: str | None = None) -> list[Trained]:
    """Return what became of each task, in their order: on Spark if ``master`` names one, else in ``jobs`` processes.

    Raises:
        InputError: one of them cannot be done; the others are not done either then.
    """
    if master is not None:
        from jobs.spark_training import on_spark

        return on_spark(tasks, master)
    with bars() as bar:
        if jobs == 1:
            return [trained_and_judged(task, bar(f"training {task.name}", STEPS)) for task in tasks]
        found: list[Trained] = []
        step = bar(f"{len(tasks)} predictors in {jobs} processes", len(tasks))
        for one in Parallel(n_jobs=jobs, return_as="generator")(delayed(trained_and_judged)(task) for task in tasks):
            found.append(one)
            step()
        return found
