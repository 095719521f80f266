"""Jars from Maven Central, by the poms beside this file; fetched once."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from quicksilver.errors import InputError

HERE = Path(__file__).resolve().parent


def fetch(part: str, into: Path, say: Callable[[str], None]) -> Path:
    """Return the folder with the jars of ``setup/PART/pom.xml``, fetched by Maven if the pom has changed since.

    Raises:
        InputError: Maven is missing or fails.
    """
    pom, folder = HERE / part / "pom.xml", into / part
    stamp = folder / ".pom.xml"
    if stamp.is_file() and stamp.read_bytes() == pom.read_bytes():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise InputError("Maven is needed to fetch the servers' jars: apt-get install maven")
    say(f"{part}: fetching jars from Maven Central ...")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = subprocess.run(
        [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder.resolve()}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise InputError(f"{part}: Maven could not fetch the jars: {errors[0] if errors else done.stderr.strip()}")
    say(f"{part}: {len(list(folder.glob('*.jar')))} jars")
    stamp.write_bytes(pom.read_bytes())
    return folder
