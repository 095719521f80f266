"""``quicksilver models``: the versions of predictors that are kept, what each does, and who runs them."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
import typer

from jobs.choices import Span
from jobs.history_command import history
from jobs.options import Folder, Publish, Since, Sources, Symbols, Until, Venue
from jobs.registry import Registry, models_folder
from quicksilver.errors import InputError
from quicksilver.learning.entry import Entry
from setup.exits import UNUSABLE, failing

models = typer.Typer(
    help="Trained predictors: list, show, score, history, promote, shadow, rollback, publish.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A predictor or an ensemble.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version, or as much of it as no other begins with.")]
Json = Annotated[bool, typer.Option("--json", help="Print nothing but JSON.")]


models.command()(history)


@models.command("list")
def list_(folder: Folder = None, only_json: Json = False) -> None:
    """List all versions with what they do and their scores; exit code 2 if one is damaged."""
    with failing():
        registry, damaged = Registry(models_folder(folder)), list[str]()
        found = list(_versions(registry, damaged))
        if not found and not damaged:
            raise InputError(f"there is no predictor in {models_folder(folder)}: `quicksilver train` makes one")
    if only_json:
        from jobs.reports import summary_of

        told = [{**summary_of(entry, None), "role": role} for entry, role in found]
        typer.echo(msgspec.json.encode(told).decode())
    else:
        _show_all(found)
    for why in damaged:
        typer.echo(f"error: {why}", err=True)
    if damaged:
        raise typer.Exit(UNUSABLE)


def _versions(registry: Registry, damaged: list[str]) -> Iterator[tuple[Entry, str]]:
    """Yield each version and what it does; what cannot be read goes to ``damaged``."""
    for name in registry.names():
        try:
            roles = registry.roles(name)
        except InputError as error:
            damaged.append(str(error))
            continue
        for version in registry.versions(name):
            try:
                yield registry.entry(name, version), roles.of(version)
            except InputError as error:
                damaged.append(str(error))


def _show_all(found: Sequence[tuple[Entry, str]]) -> None:
    from jobs.reports import listing, show

    if found:
        show(listing(found))


@models.command()
def show(
    name: Name,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="The live one, unless given.")] = None,
    folder: Folder = None,
    only_json: Json = False,
) -> None:
    """Show a version: what it is, what it has learned from, its scores beside its baselines, and what they say."""
    from jobs.reports import report, summary_of
    from jobs.reports import show as print_
    from jobs.training import counted, tries_of

    with failing():
        registry = Registry(models_folder(folder))
        kept = registry.entry(name, registry.resolve(name, version) if version else registry.live(name))
        entry, tried = counted(kept, tries_of(registry))  # those that came later count too
        deflated, role = tried.deflated(entry.validation.track), registry.roles(name).of(entry.card.version)
    if only_json:
        told = {**summary_of(entry, deflated), "role": role, "validation": entry.validation}
        typer.echo(msgspec.json.encode(told).decode())
    else:
        print_(report(entry, f"{name} {entry.card.version}: {role}", deflated))


@models.command()
def score(
    name: Name,
    sources: Sources,
    version: Annotated[str | None, typer.Option("--version", help="Which; the live one, unless given.")] = None,
    venue: Venue = None,
    since: Since = None,
    until: Until = None,
    folder: Folder = None,
    only_json: Json = False,
) -> None:
    """Score a version on data that are later than what it learned from, beside what its walk-forward run expected.

    Exit code 1 if a measure lies farther out than chance explains: outside of intervals that hold all measures at once
    with 95 %, in a period as long as that of these data.
    """
    from jobs.later_scores import judgement, later_table, scored_later
    from jobs.reports import show as print_
    from jobs.tape_letters import Letters

    letters = Letters()
    with failing():
        registry = Registry(models_folder(folder))
        chosen = registry.resolve(name, version) if version else registry.live(name)
        entry = registry.entry(name, chosen)
        found = scored_later(entry, sources, letters, venue, Span.of(since, until))
    for line in letters.shown():
        typer.echo(line, err=True)
    if not only_json:
        print_(later_table(found), judgement(entry, found))
    typer.echo(msgspec.json.encode(found).decode())
    raise typer.Exit(0 if found.expected else 1)


@models.command()
def promote(
    name: Name, version: Version, folder: Folder = None, publish_it: Publish = False, symbol: Symbols = None
) -> None:
    """Make a version the live one."""
    with failing():
        registry, publisher = Registry(models_folder(folder)), _publisher(publish_it, symbol)
        before, chosen = registry.roles(name).live, registry.resolve(name, version)
        registry.promote(name, chosen)
        _tell(f"{name}: {chosen} is live; before it was {before or 'none'}", publisher, registry, name)


@models.command()
def shadow(
    name: Name,
    version: Version,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    folder: Folder = None,
    publish_it: Publish = False,
    symbol: Symbols = None,
) -> None:
    """Let a version predict and be scored beside the live one, deciding nothing."""
    with failing():
        registry, publisher = Registry(models_folder(folder)), _publisher(publish_it, symbol)
        chosen = registry.resolve(name, version)
        if off:
            registry.unshadow(name, chosen)
        else:
            registry.shadow(name, chosen)
        _tell(f"{name}: {chosen} is {'no longer a' if off else 'a'} shadow", publisher, registry, name)


@models.command()
def rollback(name: Name, folder: Folder = None, publish_it: Publish = False, symbol: Symbols = None) -> None:
    """Make that version live again which was before."""
    with failing():
        registry, publisher = Registry(models_folder(folder)), _publisher(publish_it, symbol)
        before = registry.roles(name).live
        gone = f"; {before} is not" if before else ""
        _tell(f"{name}: {registry.roll_back(name)} is live again{gone}", publisher, registry, name)


@models.command()
def publish(
    name: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="All, unless given.")] = None,
    folder: Folder = None,
    symbol: Symbols = None,
) -> None:
    """Tell instruments by Kafka [KAFKA_SERVERS] which versions they run; prints one JSON object."""
    from jobs.deployments import Publisher

    with failing():
        registry = Registry(models_folder(folder))
        names = name or registry.names()
        if not names:
            raise InputError(f"there is no predictor in {models_folder(folder)}: `quicksilver train` makes one")
        for one in names:
            registry.roles(one)  # before anything is sent
        publisher = Publisher(symbol or [])
        sent: dict[str, Any] = {one: publisher.send(registry, one) for one in names}
    typer.echo(msgspec.json.encode({"published": sent}).decode())


def _publisher(wanted: bool, symbols: Sequence[str] | None) -> Any:
    if not wanted:
        if symbols:
            raise InputError("--symbol is for --publish: roles are the same for all instruments")
        return None
    from jobs.deployments import Publisher

    return Publisher(symbols or [])


def _tell(what: str, publisher: Any, registry: Registry, name: str) -> None:
    """Say what was done, and tell the instruments if that is wanted."""
    typer.echo(what)
    if publisher is not None:
        running = publisher.send(registry, name)
        typer.echo(f"told the instruments; {', '.join(running) or 'none of them'} run{'s' * (len(running) < 2)} {name}")
