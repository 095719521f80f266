"""What comes of a price history: moments, exact picks, frontier, and portfolios drawn here or on Spark."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from jobs.history import Stored
from jobs.spark_frontier import Work
from jobs.spark_frontier import run as run_on_spark
from quicksilver.portfolio.answer import as_record
from quicksilver.portfolio.history import History, LargeConfig, Study
from quicksilver.portfolio.inside import Inside, Winners, merge_winners
from quicksilver.portfolio.large import Best, merge, reduce_chunks
from quicksilver.portfolio.net import after_costs
from quicksilver.portfolio.research import Drawn, Point, Question, Research
from quicksilver.records import Frontier

IN_PROCESS = 10_000_000  # portfolios; more than that is Spark's work
T = TypeVar("T")


class Answer(NamedTuple):
    """What came of a history: the research, its portfolios, the record, and what the run took."""

    research: Research
    picks: dict[str, Point]
    frontier: list[Point]
    drawn: Drawn
    record: Frontier
    took: dict[str, Any]


class Where(NamedTuple):
    """Where portfolios are drawn: ``master`` None is this process, unless there are very many."""

    master: str | None = None
    partitions: int | None = None


def answer(
    source: "History | Stored", question: Question, config: LargeConfig, where: Where, written: list[str] | None = None
) -> Answer:
    """Return the efficient portfolios of a history, with assets by their names as ``written``, if given.

    Raises:
        InputError: the history is too little, no portfolio keeps the constraints, or Spark cannot be started.
    """
    if simplex(question):
        return _over_all(source, question, config, where, written)
    return _inside(source, question, config, where, written)


def simplex(question: Question) -> bool:
    """Whether the fast kernel draws what is asked for: all long-only portfolios, and cash earns nothing."""
    if question.constraints.current and question.costs is not None:
        return False  # its record has the picks before costs
    return question.constraints.none and question.risk == "variance" and not question.cash and not question.quasi


def _over_all(
    source: "History | Stored", question: Question, config: LargeConfig, where: Where, written: list[str] | None
) -> Answer:
    kept: list[tuple[History, Research, Study]] = []

    def ask(history: History) -> Work[Best]:
        research = Research(history._replace(assets=written or history.assets), question)
        study = Study(research.estimate, config)
        kept.append((history, research, study))
        return Work(config.n_portfolios, study.sweep.n_chunks, partial(reduce_chunks, study.sweep), merge)

    best, took = _done(source, ask, config, where)
    history, research, study = kept[0]
    of_bins, (calm, sharp) = study.winners(best)
    winners, shown = ([research.point(row) for row in rows] for rows in (of_bins, study.shown()))
    drawn = Drawn(config.n_portfolios, research.point(calm), research.point(sharp), shown, winners)
    return _answered(research, history, config, drawn, took)


def _inside(
    source: "History | Stored", question: Question, config: LargeConfig, where: Where, written: list[str] | None
) -> Answer:
    kept: list[tuple[History, Research, Inside]] = []

    def ask(history: History) -> Work[Winners]:
        research = Research(history._replace(assets=written or history.assets), question)
        inside = research.inside(config.n_portfolios)
        kept.append((history, research, inside))
        return Work(config.n_portfolios, inside.n_chunks, inside.reduce, merge_winners)

    found, took = _done(source, ask, config, where)
    history, research, inside = kept[0]
    return _answered(research, history, config, research.drawn(inside, found, config.n_cloud), took)


def _answered(research: Research, history: History, config: LargeConfig, drawn: Drawn, took: dict[str, Any]) -> Answer:
    picks = research.picks(drawn)
    line = research.frontier(next(iter(picks.values())), drawn)
    net = after_costs(research, picks)
    return Answer(research, net, line, drawn, as_record(research, history, config, net, line, drawn), took)


def _done(
    source: "History | Stored", ask: Callable[[History], Work[T]], config: LargeConfig, where: Where
) -> tuple[T, dict[str, Any]]:
    """Do the work here, or on Spark; and what it took."""
    if where.master is not None or not isinstance(source, History) or config.n_portfolios > IN_PROCESS:
        return run_on_spark(source, ask, *where)
    started = time.perf_counter()
    found = ask(source).here()
    return found, {"seconds": round(time.perf_counter() - started, 2)}
