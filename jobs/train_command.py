"""The command ``quicksilver train``: what a user names in TOML, learned from the data that a user names."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import typer

from jobs.choices import Span
from jobs.options import ConfigFile, Folder, Only, Since, Sources, Until, Venue
from jobs.predictor_choice import chosen_with_members
from jobs.registry import Registry, models_folder
from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig
from quicksilver.learning.config_file import read_predictors
from quicksilver.learning.ensemble_config import EnsembleConfig
from quicksilver.learning.entry import Entry
from setup.exits import failing

if TYPE_CHECKING:
    from jobs.tape_letters import Letters
    from quicksilver.learning.tasks import AnyTask, Trained


class Kept(NamedTuple):
    """A version that was trained: whether it is new, and what it does now."""

    entry: Entry
    new: bool
    role: str
    deflated: float | None


def tasks_of(
    configs: dict[str, PredictorConfig],
    ensembles: dict[str, EnsembleConfig],
    sources: Sequence[str],
    letters: "Letters",
    venue: str | None,
    span: Span,
) -> list["AnyTask"]:
    """Return what there is to do for each predictor and ensemble; all are looked at before any is begun.

    Raises:
        InputError: a source cannot be read, or one of them cannot be trained.
        StoreError: Cassandra does not answer.
    """
    from jobs.gathering import gathered
    from jobs.progress import bars
    from jobs.training import ensemble_task_of, naming, task_of

    with bars() as bar:
        bar(f"reading {', '.join(sources)}", None)
        data = gathered(sources, configs.values(), letters, venue)
        histories = {}
        for name, config in configs.items():
            with naming(name):
                histories[name] = data.of(config, span)
        ours = [task_of(name, config, histories[name]) for name, config in configs.items()]
        return [*ours, *(ensemble_task_of(name, one, configs, data, span) for name, one in ensembles.items())]


def keep(trained: Sequence["Trained"], registry: Registry, promote: bool) -> list[Kept]:
    """Keep versions; each becomes live if it is the first of its name, or is to be promoted.

    Raises:
        InputError: the registry cannot be used.
    """
    found = []
    for entry, deflated in _tried(trained, registry):
        new, name, version = registry.add(entry), entry.card.name, entry.card.version
        if promote and registry.roles(name).live != version:
            registry.promote(name, version)
        found.append(Kept(entry, new, registry.roles(name).of(version), deflated))
    return found


def weighed(trained: Sequence["Trained"], registry: Registry) -> list[Kept]:
    """Return versions as ``keep`` does, and keep none, but that they were tried.

    Raises:
        InputError: that cannot be written.
    """
    return [Kept(entry, False, "", deflated) for entry, deflated in _tried(trained, registry)]


def _tried(trained: Sequence["Trained"], registry: Registry) -> list[tuple[Entry, float | None]]:
    """Versions with their deflated scores."""
    from jobs.training import entries_of

    return [(one, tried.deflated(one.validation.track)) for one, tried in entries_of(trained, registry)]


def train(
    config: ConfigFile,
    sources: Sources,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    only: Only = None,
    models: Folder = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make what is trained live.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, and keep nothing but that it was tried.")] = False,
    jobs: Annotated[int, typer.Option(help="In so many processes.", min=1)] = 1,
    master: Annotated[str | None, typer.Option(help="On Spark: local[N], or spark://host:7077.")] = None,
) -> None:
    """Train predictors, judge them walk-forward beside their baselines, and keep them.

    Nothing is kept unless all that are wanted can be trained. The first version of a name becomes live, later ones by
    --promote or `quicksilver models promote`. The last line printed is the summary, one JSON object.
    """
    started = time.perf_counter()
    with failing():
        from jobs.tape_letters import Letters
        from jobs.training_runners import trained_all

        if master is not None and jobs != 1:
            raise InputError(f"--jobs {jobs} are processes here, and --master {master} is Spark: give one of them")
        if promote and dry_run:
            raise InputError("--dry-run keeps nothing that --promote could make live")
        span, letters, registry = Span.of(since, until), Letters(), Registry(models_folder(models))
        configs, ensembles = chosen_with_members(read_predictors(config.read_bytes(), str(config)), only or [])
        registry.require_usable([*configs, *ensembles])
        tasks = tasks_of(configs, ensembles, sources, letters, venue, span)
        trained = trained_all(tasks, jobs, master)
        kept = weighed(trained, registry) if dry_run else keep(trained, registry, promote)
    _tell(kept, trained, letters)
    summary = {
        "trained": [_summary(one) for one in kept], "rejected": letters.count,
        "models": None if dry_run else str(models_folder(models)), "seconds": round(time.perf_counter() - started, 2),
    }  # fmt: skip
    typer.echo(msgspec.json.encode(summary).decode())


def _tell(kept: Sequence[Kept], trained: Sequence["Trained"], letters: "Letters") -> None:
    """Print each report, and what people should know beside them."""
    from jobs.reports import report, show

    for line in letters.shown():
        typer.echo(line, err=True)
    for one, made in zip(kept, trained, strict=True):
        show(report(one.entry, f"{made.card.name} {made.card.version}: {_state(one)}", one.deflated))
        for note in made.notes:
            typer.echo(f"{made.card.name}: {note}", err=True)
    if len(kept) > 1:
        show(
            f"{len(kept)} predictors were compared: the best of them looks better than it is, for luck chose it too.\n"
        )


def _state(one: Kept) -> str:
    if not one.role:
        return "not kept"
    return f"{'kept' if one.new else 'already there'}, {one.role}"


def _summary(one: Kept) -> dict[str, Any]:
    from jobs.reports import summary_of

    return {**summary_of(one.entry, one.deflated), "new": one.new, "role": one.role}
