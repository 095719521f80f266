"""``quicksilver cluster``, ``topics`` and ``schema``: the whole stack on this machine, and its contracts."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quicksilver.errors import InputError
from setup.cassandra.service import cassandra
from setup.flink.service import flink
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.settings import ClusterSettings
from setup.spark.service import spark
from setup.stack import Stack

cluster = typer.Typer(help="Kafka, Cassandra, Flink and Spark on this machine.", no_args_is_help=True)
topics = typer.Typer(help="Kafka's topics, as the contract declares them.", no_args_is_help=True)
schema = typer.Typer(help="Cassandra's tables, as the contract declares them.", no_args_is_help=True)


def the_stack(settings: ClusterSettings, say: Callable[[str], None]) -> Stack:
    """Return all servers, with their jars fetched.

    Raises:
        InputError: Java or Maven is missing, or a jar cannot be fetched.
    """
    jars = {name: fetch(name, settings.jars, say) for name in ("kafka", "cassandra", "flink", "spark")}
    services = [
        kafka(settings, jars["kafka"]), cassandra(settings, jars["cassandra"]), *flink(settings, jars["flink"]),
        *spark(settings),
    ]  # fmt: skip
    return Stack(settings, services)


def _or_fail(work: Callable[[], None]) -> None:
    try:
        work()
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


@cluster.command()
def up() -> None:
    """Start what does not run yet, and wait until all is ready."""
    _or_fail(lambda: the_stack(ClusterSettings(), typer.echo).up(typer.echo))


@cluster.command()
def down() -> None:
    """Stop all servers; what they have stored stays."""
    _or_fail(lambda: the_stack(ClusterSettings(), typer.echo).down(typer.echo))


@cluster.command()
def status() -> None:
    """Say what each server does."""
    _or_fail(lambda: _print_status(the_stack(ClusterSettings(), typer.echo)))


def _print_status(stack: Stack) -> None:
    table = Table("server", "state", "pid", "memory", "ports", "log")
    for one in stack.status():
        table.add_row(one.name, one.state, str(one.pid or ""), f"{one.memory_mb} MB", one.ports, one.log)
    Console().print(table)


@cluster.command()
def logs(
    name: Annotated[str, typer.Argument(help="A server, as `status` names it.")],
    lines: Annotated[int, typer.Option(help="How many of its last lines.", min=1)] = 50,
) -> None:
    """Print the end of a server's log."""
    _or_fail(lambda: typer.echo(the_stack(ClusterSettings(), typer.echo).process(name).tail(lines)))


@topics.command()
def apply() -> None:
    """Create the topics that are missing and change what differs; a change that would lose messages is refused."""
    from setup.kafka.topics import apply_topics

    settings = ClusterSettings()
    servers = f"{settings.host}:{settings.kafka_port}"
    _or_fail(lambda: typer.echo(f"{apply_topics(servers, typer.echo)} changes"))


@schema.command("apply")
def apply_tables() -> None:
    """Create the tables that are missing and change what differs; a change that would lose data is refused."""
    _or_fail(lambda: typer.echo(f"{_apply_schema()} changes"))


def _apply_schema() -> int:
    from setup.cassandra.client import CassandraSettings
    from setup.cassandra.schema import apply_schema

    return apply_schema(CassandraSettings.from_environment(), typer.echo)
