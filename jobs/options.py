"""Options and arguments that several commands on predictors have, each with one name and one meaning."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file of \\[predictors.NAME].")]
Sources = Annotated[
    list[str], typer.Argument(metavar="FROM", help="Tape, folder of tapes, CSV, a run's SQLite file, or cassandra.")
]
Venue = Annotated[str | None, typer.Option(help="Whose frames they are, where a tape does not say.")]
Since = Annotated[str | None, typer.Option(help="From this event time on, such as 2026-08-09T05:00 (UTC).")]
Until = Annotated[str | None, typer.Option(help="Before this event time.")]
Only = Annotated[list[str] | None, typer.Option(help="Only this predictor or ensemble; may be repeated.")]
Folder = Annotated[Path | None, typer.Option("--models", help="Folder of all versions [DATA/models].")]
Publish = Annotated[bool, typer.Option("--publish", help="Tell the instruments by Kafka [KAFKA_SERVERS].")]
Symbols = Annotated[
    list[str] | None,
    typer.Option("--symbol", help="To this instrument, VENUE:BASE-QUOTE; may be repeated. Else all in Cassandra."),
]
