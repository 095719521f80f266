"""How every Spark job gets its session: on this machine or a cluster, with our code on the workers."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from py4j.protocol import Py4JError
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import quicksilver
from quicksilver.errors import InputError
from setup.jars import fetch
from setup.services import HERE, python
from setup.settings import ClusterSettings
from setup.spark.service import home
from setup.tools import java

CODE = Path(quicksilver.__file__).resolve().parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class SparkSettings(BaseSettings):
    """Which Spark a job runs on; each is the environment variable ``SPARK_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="SPARK_", env_ignore_empty=True)

    master: str = Field(default="local[*]", description="local[N]: N cores of this machine; or spark://host:7077")


@contextmanager
def session(
    name: str, master: str | None = None, *, connectors: bool = False, conf: Mapping[str, str] | None = None
) -> Iterator[SparkSession]:
    """Start a session, and stop it at the end; ``connectors`` brings Kafka's and Cassandra's jars.

    Java 17's options need not be given: Spark's own launcher and context add them.

    Raises:
        InputError: Java is missing, a jar cannot be fetched, or the master cannot be reached.
    """
    master = master or SparkSettings().master
    os.environ["JAVA_HOME"] = str(Path(java()).resolve().parent.parent)
    os.environ["SPARK_HOME"] = str(home())
    os.environ.setdefault("PYSPARK_PYTHON", python())
    jars = sorted(fetch("spark", ClusterSettings.from_environment().jars, _say).glob("*.jar")) if connectors else []
    builder = SparkSession.builder.master(master).appName(name)
    given = {"spark.jars": ",".join(str(jar.resolve()) for jar in jars)} if jars else {}
    for key, value in {**_common(master), **given, **(conf or {})}.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        raise InputError(f"Spark cannot be started at {master}: {_reason(error)}") from error
    with TemporaryDirectory() as folder:
        try:
            if not is_here(master):
                spark.sparkContext.addPyFile(str(code_zip(Path(folder))))
            yield spark
        finally:
            spark.stop()


def _common(master: str) -> dict[str, str]:
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={HERE / 'spark' / 'job-log4j2.properties'}",
        "spark.sql.session.timeZone": "UTC",
        # A worker is one core's: threads of its own would only take other workers' cores.
        **{f"spark.executorEnv.{variable}": value for variable, value in ONE_THREAD.items()},
        **(_at_home() if is_here(master) else {}),
    }


def _at_home() -> dict[str, str]:
    """Settings of a session that is all on this machine: nothing listens outside, workers import our own files."""
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executorEnv.PYTHONPATH": str(CODE.parent),
        "spark.python.daemon.module": "jobs.spark_daemon",
    }


def is_here(master: str) -> bool:
    """Whether the workers run on this machine, and so can read this checkout.

    >>> [is_here(one) for one in ("local[2]", "spark://127.0.0.1:7077", "spark://cluster:7077", "yarn")]
    [True, True, False, False]
    """
    return re.match(r"local($|\[)|spark://(127\.0\.0\.1|localhost):\d+$", master) is not None


def code_zip(folder: Path) -> Path:
    """Write ``quicksilver.zip``, the core as ``--py-files`` takes it, and return its path."""
    path = folder / "quicksilver.zip"
    with ZipFile(path, "w") as archive:
        for file in sorted(CODE.rglob("*.py")):
            archive.write(file, file.relative_to(CODE.parent))
    return path


def _reason(error: Exception) -> str:
    """The first line of the innermost reason: a Java trace has hundreds."""
    java_error = getattr(error, "java_exception", None)
    text = java_error.toString() if java_error is not None else str(error)
    return str(text).strip().splitlines()[0]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
