"""``quicksilver universes``: what the cluster's portfolio job computes, told by Kafka's topic ``universes``."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from quicksilver.errors import InputError
from quicksilver.portfolio.config import PortfolioConfig, Universe
from setup.exits import failing

AUTO = PortfolioConfig().universe  # what is computed where nothing was told, and of which prices
universes = typer.Typer(help="Live universes of the cluster: apply, list.", no_args_is_help=True)


@universes.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML file of universes.")],
    of: Annotated[
        str, typer.Option("--of", metavar="NAME", help="Of which prices: what `publish --universe` was told.")
    ] = AUTO,
) -> None:
    """Have the cluster compute a file's universes, and no others of the same prices [KAFKA_SERVERS]; prints JSON."""
    from jobs.publishing import kafka_servers, publish, require_topic
    from jobs.universe_topic import told
    from jobs.universe_watch import universes_of
    from quicksilver.portfolio.expectations import require_prices_suffice
    from quicksilver.topics import UNIVERSES

    with failing():
        configs = universes_of(file)
        for config in configs:
            require_prices_suffice(config)
        wanted = [Universe(of, config.universe, config) for config in configs]
        servers = kafka_servers()
        require_topic(servers, UNIVERSES)
        known = told(servers)
        changes = changes_of(wanted, known, of)
        for one in changes:
            publish(one, servers)
    gone = [one.name for one in changes if one.config is None]
    applied = [one.name for one in changes if one.config is not None]
    typer.echo(msgspec.json.encode({"applied": applied, "ended": gone, "of": of}).decode())


@universes.command("list")
def list_(only_json: Annotated[bool, typer.Option("--json", help="Print nothing but JSON.")] = False) -> None:
    """List the universes that the cluster has been told to compute [KAFKA_SERVERS]."""
    from rich.console import Console
    from rich.table import Table

    from jobs.publishing import kafka_servers, require_topic
    from jobs.universe_topic import told
    from quicksilver.events import SECOND_NS
    from quicksilver.topics import UNIVERSES

    with failing():
        servers = kafka_servers()
        require_topic(servers, UNIVERSES)
        known = told(servers)
    if only_json:
        typer.echo(msgspec.json.encode(known).decode())
        return
    table = Table("universe", "of", "period", "assets", "covariance", "mean", "risk", box=None, pad_edge=False)
    for one in known:
        if one.config is not None:
            config, period = one.config, f"{one.config.period_ns / SECOND_NS:g} s"
            assets = ", ".join(config.assets) or "all"
            table.add_row(one.name, one.source, period, assets, config.covariance, config.mean, config.risk)
    Console(soft_wrap=True).print(table if known else "none was applied: of each producer's prices one is computed")


def changes_of(wanted: list[Universe], known: list[Universe], of: str) -> list[Universe]:
    """Return what the job has to be told so that it computes the wanted universes and no others ``of`` these prices.

    Raises:
        InputError: one of that name is computed of other prices: its frontiers would be mixed with these.
    """
    names = {one.name for one in wanted}
    if AUTO in names and of != AUTO:
        raise InputError(f"universe {AUTO} is computed of the prices of {AUTO}: give this one another name")
    for one in known:
        if one.name in names and one.source != of:
            raise InputError(
                f"universe {one.name} is computed of the prices of {one.source}: give this one another name, or end"
                f" that one by `quicksilver universes apply --of {one.source}` with a file without it"
            )
    ended = [Universe(of, one.name, None) for one in known if one.source == of and one.name not in names]
    return [one for one in wanted if one not in known] + ended
