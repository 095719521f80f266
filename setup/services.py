"""What each server needs to start, how it is asked whether it is ready, and where it listens."""

import json
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from string import Template
from typing import Any
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
ANSWER_S = 5.0
BEHIND = (sys.executable, "-m", "setup.behind")  # before a command: what is live goes first


@dataclass(frozen=True)
class Launch:
    """How a server is started."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """One server.

    ``ports`` are named by their settings. ``prepare`` writes the server's files and says how it is started.
    ``ready`` asks the server itself; its argument is the time at which the process was started, milliseconds since
    1970. ``cap`` says in words how much memory it may take.
    """

    name: str
    ports: Mapping[str, int]
    ready: Callable[[float], bool]
    prepare: Callable[[], Launch]
    cap: str = ""


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def answers(host: str, port: int, request: bytes, reply: Callable[[bytes], bool]) -> bool:
    """Whether a server's first answer to a request is as expected."""
    try:
        with socket.create_connection((host, port), timeout=ANSWER_S) as connection:
            connection.sendall(request)
            return reply(connection.recv(64))
    except OSError:
        return False


def get_json(url: str) -> dict[str, Any] | None:
    """Return what a server's REST interface answers; None while it cannot."""
    try:
        with urlopen(url, timeout=ANSWER_S) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except (OSError, HTTPException, ValueError):
        return None


def render(template: Path, into: Path, **values: object) -> None:
    """Write a configuration file from its template under ``setup/``."""
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(Template(template.read_text()).substitute({name: str(value) for name, value in values.items()}))


def classpath(jars: Path) -> str:
    """Return a Java class path of all jars of a folder."""
    return f"{jars.resolve()}/*"


def java_home(java: str) -> str:
    """Return the folder of the Java whose program ``java`` is."""
    return str(Path(java).resolve().parent.parent)


def python() -> str:
    """Return the interpreter that the servers run Python functions with: this one."""
    return sys.executable
