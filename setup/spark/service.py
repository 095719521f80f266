"""Spark's standalone master and one worker: https://spark.apache.org/docs/3.5.7/spark-standalone.html.

The distribution is that of the Python package ``pyspark``.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quicksilver.errors import InputError
from setup.services import BEHIND, HERE, Launch, Service, get_json, java_home, python
from setup.settings import ClusterSettings
from setup.tools import GET_PACKAGES, java

# What Spark 3.5 asks of Java 17 (org.apache.spark.launcher.JavaModuleOptions).
OPENS = (
    "java.base/java.lang", "java.base/java.lang.invoke", "java.base/java.lang.reflect", "java.base/java.io",
    "java.base/java.net", "java.base/java.nio", "java.base/java.util", "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic", "java.base/jdk.internal.ref", "java.base/sun.nio.ch",
    "java.base/sun.nio.cs", "java.base/sun.security.action", "java.base/sun.util.calendar",
)  # fmt: skip


def home() -> Path:
    """Return the folder of Spark's distribution.

    Raises:
        InputError: pyspark is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise InputError(f"pyspark is not installed: {GET_PACKAGES}")
    return Path(spec.origin).parent


def spark(settings: ClusterSettings) -> list[Service]:
    """Return the master and the worker."""
    folder, host = (settings.folder / "spark").resolve(), settings.host
    master = [
        "master.Master", "--host", host, "--port", settings.spark_port, "--webui-port", settings.spark_page_port,
    ]  # fmt: skip
    worker = [
        "worker.Worker", "--host", host, "--cores", settings.spark_cores, "--memory", f"{settings.spark_worker_mb}m",
        "--work-dir", folder / "work", "--webui-port", settings.spark_worker_page_port,
        f"spark://{host}:{settings.spark_port}",
    ]  # fmt: skip
    return [
        Service(
            "spark-master", {"spark_port": settings.spark_port, "spark_page_port": settings.spark_page_port},
            lambda _: page(settings, settings.spark_page_port) is not None,
            lambda: _launch(settings, folder, master), f"{settings.spark_mb} MB",
        ),
        Service(
            "spark-worker", {"spark_worker_page_port": settings.spark_worker_page_port},
            lambda _: _registered(settings), lambda: _launch(settings, folder, worker),
            f"{settings.spark_mb} + {settings.spark_worker_mb} MB",
        ),
    ]  # fmt: skip


def page(settings: ClusterSettings, port: int) -> dict[str, Any] | None:
    """Return the master's or the worker's page as JSON; None while it cannot answer."""
    return get_json(f"http://{settings.host}:{port}/json/")


def _launch(settings: ClusterSettings, folder: Path, arguments: Sequence[object]) -> Launch:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    kind, *rest = map(str, arguments)
    command = [
        java(), f"-Xmx{settings.spark_mb}m", *(f"--add-opens={name}=ALL-UNNAMED" for name in OPENS),
        f"-Dlog4j2.configurationFile={HERE / 'spark' / 'log4j2.properties'}", "-cp", f"{home() / 'jars'}/*",
        f"org.apache.spark.deploy.{kind}", *rest,
    ]  # fmt: skip
    environment = {
        "SPARK_HOME": str(home()), "SPARK_LOCAL_IP": settings.host, "PYSPARK_PYTHON": python(),
        "JAVA_HOME": java_home(java()),
        "SPARK_SCALA_VERSION": "2.12",  # said by bin/load-spark-env.sh else; without it no executor starts
    }  # fmt: skip
    return Launch([*BEHIND, *command], environment)


def _registered(settings: ClusterSettings) -> bool:
    """Whether the master counts this very worker among the living: it goes on counting a dead one for a minute."""
    worker, master = page(settings, settings.spark_worker_page_port), page(settings, settings.spark_page_port)
    if worker is None or master is None:
        return False
    return any(one["id"] == worker["id"] and one["state"] == "ALIVE" for one in master["workers"])
