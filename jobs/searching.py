"""A search from its files to its table: data read, what is there already left out, the rest computed and kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from joblib import Parallel, delayed, parallel_config

from jobs.choices import Span
from jobs.feature_histories import histories_of
from jobs.gathering import all_within, joined
from jobs.program import code_digest
from jobs.search_folder import Search, SearchFolder
from jobs.search_progress import Estimate, Teller
from jobs.search_workers import ONE_THREAD, Work, on_this_machine
from jobs.tries import TriesFile, try_of
from producers.csv_producer import Letters
from quicksilver.errors import InputError
from quicksilver.learning.datasets import FeatureHistory
from quicksilver.learning.ranking import Row, ranked, row_of, verdict
from quicksilver.learning.search import Candidate, Result, SearchConfig, candidates, read_search
from quicksilver.records import DeadLetter

WORTH_IT = 1 << 20  # bytes of sources; less is read before other processes have started
Results: TypeAlias = Iterator[Result]
Say: TypeAlias = Callable[[str], None]


class Place(NamedTuple):
    """Where the work is done: ``jobs`` processes of this machine, or a Spark cluster."""

    jobs: int
    spark: bool = False
    master: str | None = None


class Searched(NamedTuple):
    """What came of a search: its table, the best first, and the summary."""

    rows: list[Row]
    verdict: str
    summary: dict[str, Any]


def read_config(path: Path) -> SearchConfig:
    """Return the grid that a file holds.

    Raises:
        InputError: it cannot be read, or used.
    """
    try:
        return read_search(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def run_search(
    config: SearchConfig, sources: Sequence[str], venue: str | None, span: Span, out: Path, models: Path, place: Place,
    most: int | None, say: Say,
) -> Searched:  # fmt: skip
    """Compute what is not there yet, and return all of it; ``most`` is how many may be begun, None: any number.

    Nothing is learned from, nor judged by, what lies outside of ``span``: it may be held back for what is chosen.

    What was tried is kept in ``models``, for all that is ever chosen on these instruments. The sources are read at each
    start, also if nothing is left to do: whether they still hold what the results are of, only their rows tell (a tape
    or a run's database grows under its name), and a candidate's name is a digest of them.

    Raises:
        InputError: a source cannot be read, there is nothing to try or too much, or ``out`` is another's.
        StoreError: Cassandra does not answer.
    """
    histories = all_within(read_histories(sources, config.inputs, venue, place.jobs, say), span)
    work = Work(tuple(histories), config.inputs)
    all_of_them = candidates(config, work.histories, code_digest())
    with SearchFolder(out).writing() as folder, folder.appending() as lines:
        ids, tries = {one.id for one in all_of_them}, TriesFile(models)
        there = folder.results()
        tries.add(map(try_of, there))
        kept = {one.candidate.id: one for one in there if one.candidate.id in ids}
        if folder.unreadable:
            say(f"{folder.unreadable:,} lines of {out}'s results are none of this version: they count for nothing")
        left = [one for one in all_of_them if one.id not in kept]
        say(f"{len(ids):,} configurations: {len(kept):,} are there already, {len(left):,} to do")
        if most is not None and len(left) > most:
            raise InputError(f"more than {most:,} are to do: say --yes, or take a smaller grid")
        folder.describe(Search(config, tuple(sources), tuple(one.id for one in all_of_them), str(models.resolve())))
        with _results(place, work, left, all_of_them) as (estimate, results):
            teller = Teller(folder, estimate, len(ids))
            for one in kept.values():
                teller.take(one)
            with teller.telling():
                for result in results:
                    lines.add(result)
                    tries.add([try_of(result)])
                    teller.take(result)
                    kept[result.candidate.id] = result
        instruments = tuple({name for one in all_of_them for name in one.instruments})
        n_tried = len({try_of(one).id for one in folder.results()} | tries.on(instruments).keys())
    return _searched([kept[one.id] for one in all_of_them], n_tried, len(left))


def _searched(results: Sequence[Result], n_tried: int, computed: int) -> Searched:
    rows = ranked(map(row_of, results), n_tried)
    failed = sum(bool(one.why) for one in results)
    best = rows[0] if rows and not rows[0].why and not rows[0].few else None
    said = verdict(rows, n_tried)
    summary = {
        "configurations": len(rows), "kept": len(rows) - computed, "computed": computed, "failed": failed,
        "tried": n_tried, "verdict": said, "best": best,
    }  # fmt: skip
    return Searched(rows, said, summary)


@contextmanager
def _results(
    place: Place, work: Work, left: Sequence[Candidate], everything: Sequence[Candidate]
) -> Iterator[tuple[Estimate, Results]]:
    """An estimate of the time that it will take, and the results as they come."""
    if not place.spark or not left:
        estimate = Estimate(everything, work.histories, place.jobs)
        yield estimate, on_this_machine(work, estimate.longest_first(left), place.jobs)
        return
    from jobs.search_spark import on_spark
    from jobs.spark import session

    with session("quicksilver search", place.master) as spark:
        estimate = Estimate(everything, work.histories, spark.sparkContext.defaultParallelism)
        yield estimate, on_spark(spark, work, estimate.longest_first(left))


def read_histories(
    sources: Sequence[str], features: Sequence[str], venue: str | None, jobs: int, say: Say
) -> list[FeatureHistory]:
    """Return the history of each instrument, by venue and symbol, whatever the order of the sources, as `train` does.

    Several sources are read side by side.

    Raises:
        InputError: nothing of one can be read, or two hold the same time of the same instrument.
        StoreError: Cassandra does not answer.
    """
    side_by_side = len(sources) > 1 and sum(map(_size, sources)) > WORTH_IT
    with parallel_config(**ONE_THREAD):
        read = Parallel(jobs if side_by_side else 1)(delayed(_read)(one, features, venue) for one in sources)
    letters = Letters(say)
    for _, refused in read:
        for letter in refused:
            letters(letter)
    letters.end()
    return joined((source, one) for source, (some, _) in zip(sources, read, strict=True) for one in some)


def _size(source: str) -> int:
    """Bytes of a file; of what is no single file more than enough."""
    path = Path(source.split(":", 1)[-1])
    return path.stat().st_size if path.is_file() else WORTH_IT


def _read(source: str, features: Sequence[str], venue: str | None) -> tuple[list[FeatureHistory], list[DeadLetter]]:
    refused: list[DeadLetter] = []
    return histories_of(source, features, refused.append, venue), refused
