"""The Java classes that PyFlink lacks (``setup/flink/java``), compiled: records with key, headers and offset."""

import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from quicksilver.errors import InputError
from setup.tools import GET_JAVA, jdk

SOURCES = Path(__file__).resolve().parent / "java"
CLASS_VERSION = "17"


def build(folder: Path, jars: Sequence[Path]) -> Path:
    """Return ``quicksilver-messages-DIGEST.jar`` in ``folder``, compiled against ``jars`` if it is not there yet.

    Raises:
        InputError: there is no compiler, or it fails.
    """
    sources = sorted(SOURCES.rglob("*.java"))
    digest = sha256(b"".join(one.read_bytes() for one in sources)).hexdigest()[:16]
    made = folder / f"quicksilver-messages-{digest}.jar"
    if made.is_file():
        return made
    classes = folder / "classes"
    shutil.rmtree(classes, ignore_errors=True)
    classes.mkdir(parents=True)
    path = ":".join(str(jar) for jar in jars)
    _java("javac", "--release", CLASS_VERSION, "-cp", path, "-d", classes, *sources)
    for old in folder.glob("quicksilver-messages-*.jar"):
        old.unlink()
    _java("jar", "--create", "--file", made, "-C", classes, ".")
    return made


def _java(tool: str, *arguments: object) -> None:
    found = jdk(tool)
    if found is None:
        raise InputError(f"{tool} is needed to build Flink's side of the messages: {GET_JAVA}")
    done = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{tool} failed: {(done.stdout + done.stderr).strip()[:500]}")
