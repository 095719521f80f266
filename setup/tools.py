"""The programs that the servers need on the machine: Java with its compiler, and Maven."""

import os
import re
import shutil
import subprocess
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from quicksilver.errors import InputError

TIMEOUT_S = 20.0
JAVA = 17  # the newest that Kafka 4.1, Cassandra 5.0, Flink 2.2 and Spark 3.5 all run on
PACKAGES = {"pyflink": "apache-flink", "pyspark": "pyspark", "cassandra": "cassandra-driver"}
GET_JAVA = "apt-get install openjdk-17-jdk-headless (or set JAVA_HOME to one)"
GET_MAVEN = "apt-get install maven"
GET_PACKAGES = "`make cluster` installs them"
COLOUR = re.compile(r"\x1b\[[\d;]*m")  # Maven prints its version in bold, and the code for that holds a number


def version_of(path: str | None, *arguments: str) -> str:
    """Return the first version number that a program prints, or nothing if it cannot be run."""
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    said = COLOUR.sub("", done.stdout + done.stderr)
    match = re.search(r"\d+(\.\d+)*", said) if done.returncode == 0 else None
    return match[0] if match else ""


def at_least(found: str, major: int) -> bool:
    """Whether a version number is of that major version or newer.

    >>> at_least("17.0.15", 17), at_least("1.8.0", 17), at_least("", 1)
    (True, False, False)
    """
    return bool(found) and int(found.split(".", maxsplit=1)[0]) >= major


def jdk(name: str) -> str | None:
    """Return the path of ``java`` or ``javac``: that of JAVA_HOME if it is set, else that of PATH; None if absent."""
    home = os.environ.get("JAVA_HOME")
    own = Path(home or "/", "bin", name)
    return str(own) if home and os.access(own, os.X_OK) else shutil.which(name)


def java() -> str:
    """Return the path of Java.

    Raises:
        InputError: it is not installed, or too old.
    """
    path = jdk("java")
    found = _java_version(path)
    if path is None or not at_least(found, JAVA):
        what = f"{path} is {found or 'not to be run'}" if path else "there is none"
        raise InputError(f"Java {JAVA} is needed for the cluster, and {what}: {GET_JAVA}")
    return path


@lru_cache
def _java_version(path: str | None) -> str:
    return version_of(path, "-version")


def missing_packages() -> list[str]:
    """Return the Python packages of the cluster that are not installed."""
    return [package for module, package in PACKAGES.items() if find_spec(module) is None]


def require_tools(jars_are_there: bool) -> None:
    """Make sure of all that the whole cluster needs, Maven only while jars must be fetched.

    Raises:
        InputError: something is missing; all that is missing is said.
    """
    lacks = []
    try:
        java()
    except InputError as error:
        lacks.append(str(error))
    else:
        if jdk("javac") is None:
            lacks.append(f"javac is needed to compile the Flink jobs' Java class, and there is none: {GET_JAVA}")
    if not jars_are_there and shutil.which("mvn") is None:
        lacks.append(f"Maven is needed to fetch the servers' jars: {GET_MAVEN}")
    packages = missing_packages()
    if packages:
        lacks.append(f"Python packages are missing, {', '.join(packages)}: {GET_PACKAGES}")
    if lacks:
        raise InputError("\n       ".join(lacks))
