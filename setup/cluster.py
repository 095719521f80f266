"""``quicksilver cluster``, ``topics`` and ``schema``: the whole stack on this machine, and its contracts."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from quicksilver.errors import InputError
from setup.cassandra.service import cassandra
from setup.exits import INTERRUPTED, failing
from setup.flink.service import flink
from setup.jars import PARTS, fetch, have
from setup.kafka.service import kafka
from setup.settings import ClusterSettings
from setup.spark.service import spark
from setup.stack import Stack
from setup.tools import require_tools

cluster = typer.Typer(help="Kafka, Cassandra, Flink and Spark on this machine.", no_args_is_help=True)
topics = typer.Typer(help="Kafka's topics, as the contract declares them.", no_args_is_help=True)
schema = typer.Typer(help="Cassandra's tables, as the contract declares them.", no_args_is_help=True)


def the_stack(settings: ClusterSettings, say: Callable[[str], None]) -> Stack:
    """Return all servers, with their jars fetched.

    Raises:
        InputError: Java, Maven or a package is missing, or a jar cannot be fetched.
    """
    require_tools(all(have(part, settings.jars) for part in PARTS))
    for part in PARTS:
        fetch(part, settings.jars, say)
    return known_stack(settings)


def known_stack(settings: ClusterSettings) -> Stack:
    """Return all servers, to be looked at and stopped: nothing is fetched, nothing need be installed."""
    jars = settings.jars
    services = [
        kafka(settings, jars / "kafka"), cassandra(settings, jars / "cassandra"), *flink(settings, jars / "flink"),
        *spark(settings),
    ]  # fmt: skip
    return Stack(settings, services)


def _or_fail(work: Callable[[ClusterSettings], None]) -> None:
    with failing():
        work(ClusterSettings.from_environment())


@cluster.command()
def up() -> None:
    """Start what does not run yet, and wait until all is ready."""
    try:
        _or_fail(_up)
    except typer.Exit as end:
        if end.exit_code == INTERRUPTED:
            typer.echo("interrupted", err=True)
        _say_what_runs()
        raise


def _up(settings: ClusterSettings) -> None:
    the_stack(settings, typer.echo).up(typer.echo)
    _print_addresses(settings)


def _say_what_runs() -> None:
    try:
        running = known_stack(ClusterSettings.from_environment()).running()
    except InputError:
        return
    if running:
        typer.echo(
            f"What runs goes on ({', '.join(running)}): `quicksilver cluster up` starts the rest,"
            " `quicksilver cluster down` stops it.", err=True,
        )  # fmt: skip


def _print_addresses(settings: ClusterSettings) -> None:
    host = settings.host
    typer.echo(
        f"\nKafka      {settings.kafka_servers}"
        f"\nCassandra  {host}:{settings.cassandra_port}"
        f"\nFlink      http://{host}:{settings.flink_port}"
        f"\nSpark      http://{host}:{settings.spark_page_port}"
    )


@cluster.command()
def down() -> None:
    """Stop all servers; what they have stored stays."""
    _or_fail(lambda settings: known_stack(settings).down(typer.echo))


@cluster.command()
def clean() -> None:
    """Delete all that the servers have stored; refused while one runs."""
    _or_fail(lambda settings: known_stack(settings).clean(typer.echo))


@cluster.command()
def status() -> None:
    """Say what each server does; exit code 0 if all are up, else 1."""
    _or_fail(_status)


def _status(settings: ClusterSettings) -> None:
    stack = known_stack(settings)
    table = Table("server", "state", "pid", "memory", "cap", "ports", box=None, pad_edge=False)
    states = stack.status()
    for one in states:
        memory = f"{one.memory_mb} MB" if one.pid else ""
        table.add_row(one.name, one.state, str(one.pid or ""), memory, one.cap, one.ports)
    Console(soft_wrap=True).print(table)
    typer.echo("cap: Java's heap; for Flink the whole process; for the worker its heap + all its executors")
    typer.echo(f"logs: {stack.folder / 'log'}")
    if any(one.state == "up" for one in states):
        _print_addresses(settings)
    if any(one.state not in {"up", "unknown"} for one in states):
        raise typer.Exit(1)


@cluster.command()
def logs(
    name: Annotated[str, typer.Argument(help="A server, as `status` names it.")],
    lines: Annotated[int, typer.Option(help="How many of its last lines.", min=1)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
) -> None:
    """Print the end of a server's log."""

    def work(settings: ClusterSettings) -> None:
        """Print the log's last lines, and with ``--follow`` what comes."""
        process = known_stack(settings).process(name)
        if not process.log.is_file():
            raise InputError(f"{name} has no log yet: it was never started in {settings.folder}")
        for text in process.follow(lines) if follow else [f"{process.tail(lines)}\n"]:
            typer.echo(text, nl=False)

    _or_fail(work)


@topics.command()
def apply() -> None:
    """Create the topics that are missing and change what differs; a change that would lose messages is refused."""
    from setup.kafka.topics import apply_topics

    def work(settings: ClusterSettings) -> None:
        """Create what topics are missing, and say what was changed."""
        typer.echo(f"{apply_topics(settings.kafka_servers, typer.echo)} changes")

    _or_fail(work)


@schema.command("apply")
def apply_tables() -> None:
    """Create the tables that are missing and change what differs; a change that would lose data is refused."""

    def work(settings: ClusterSettings) -> None:
        """Create and change tables, on the stack's port unless another is set, and say what was changed."""
        from setup.cassandra.client import CassandraSettings
        from setup.cassandra.schema import apply_schema

        where = CassandraSettings.from_environment()
        if "port" not in where.model_fields_set:
            where = where.model_copy(update={"port": settings.cassandra_port})
        typer.echo(f"{apply_schema(where, typer.echo)} changes")

    _or_fail(work)
