"""What each server needs to start, how it is asked whether it is ready, and where it listens."""

import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from quicksilver.errors import InputError

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Service:
    """One server: ``ports`` by the setting that names each; ``prepare`` writes its files before the first start."""

    name: str
    command: Sequence[str]
    ports: Mapping[str, int]
    ready: Callable[[], bool]
    prepare: Callable[[], None]
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()


def java() -> str:
    """Return the path of Java.

    Raises:
        InputError: it is not installed.
    """
    found = shutil.which("java")
    if found is None:
        raise InputError("Java 17 is needed for the cluster: apt-get install openjdk-17-jre-headless")
    return found


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def render(template: Path, into: Path, **values: object) -> None:
    """Write a configuration file from its template under ``setup/``."""
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(Template(template.read_text()).substitute({name: str(value) for name, value in values.items()}))


def classpath(jars: Path) -> str:
    """Return a Java class path of all jars of a folder."""
    return f"{jars.resolve()}/*"


def python() -> str:
    """Return the interpreter that the servers run Python functions with: this one."""
    return sys.executable
