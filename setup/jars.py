"""Jars from Maven Central, by the poms beside this file; fetched once."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from quicksilver.errors import InputError
from setup.tools import GET_MAVEN

HERE = Path(__file__).resolve().parent
PARTS = ("kafka", "cassandra", "flink", "spark")
SAY_S = 2.0
FETCHED = re.compile(r"Downloaded from \S+ \S+\.jar \(([\d.]+) (B|kB|MB) ")
UNITS = {"B": 1e-6, "kB": 1e-3, "MB": 1.0}


def have(part: str, into: Path) -> bool:
    """Whether the jars of ``setup/PART/pom.xml``, as it is now, are there."""
    stamp = into / part / ".pom.xml"
    return stamp.is_file() and stamp.read_bytes() == (HERE / part / "pom.xml").read_bytes()


def fetch(part: str, into: Path, say: Callable[[str], None]) -> Path:
    """Return the folder with the jars of ``setup/PART/pom.xml``, fetched by Maven if the pom has changed since.

    Raises:
        InputError: Maven is missing or fails.
    """
    pom, folder = HERE / part / "pom.xml", into / part
    if have(part, into):
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise InputError(f"Maven is needed to fetch the servers' jars: {GET_MAVEN}")
    say(f"{part}: fetching jars from Maven Central ...")
    # Into a folder beside it: what an interruption leaves is never taken for the whole.
    new = into / f".{part}-{os.getpid()}"
    new.mkdir(parents=True, exist_ok=True)
    try:
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={new.resolve()}"]
        _run([maven, "-B", "-f", str(pom), *copy], part, say)
        say(f"{part}: {len(list(new.glob('*.jar')))} jars")
        (new / ".pom.xml").write_bytes(pom.read_bytes())
        shutil.rmtree(folder, ignore_errors=True)
        new.replace(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def _run(command: Sequence[str], part: str, say: Callable[[str], None]) -> None:
    """Run Maven, and say every few seconds how far it is."""
    jars, megabytes, last, errors = 0, 0.0, time.monotonic(), list[str]()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as maven:
        assert maven.stdout is not None
        for line in maven.stdout:
            if "ERROR" in line:
                errors.append(line.strip().removeprefix("[ERROR] "))
            found = FETCHED.search(line)
            if found:
                jars, megabytes = jars + 1, megabytes + float(found[1]) * UNITS[found[2]]
            if found and time.monotonic() - last > SAY_S:
                last = time.monotonic()
                say(f"{part}: {jars} jars fetched, {megabytes:.0f} MB")
    if maven.returncode:
        raise InputError(f"{part}: Maven could not fetch the jars: {errors[0] if errors else 'it says nothing'}")
