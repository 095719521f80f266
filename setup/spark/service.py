"""Spark's standalone master and one worker: https://spark.apache.org/docs/3.5.7/spark-standalone.html.

The distribution is that of the Python package ``pyspark``.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from quicksilver.errors import InputError
from setup.services import HERE, Service, java, python
from setup.settings import ClusterSettings

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
        raise InputError("pyspark is not installed: `make cluster` installs what the cluster needs")
    return Path(spec.origin).parent


def spark(settings: ClusterSettings) -> list[Service]:
    """Return the master and the worker."""
    folder = (settings.folder / "spark").resolve()
    host = settings.host
    environment = {
        "SPARK_HOME": str(home()), "SPARK_LOCAL_IP": host, "PYSPARK_PYTHON": python(),
        "JAVA_HOME": str(Path(java()).resolve().parent.parent),
    }  # fmt: skip

    def prepare() -> None:
        (folder / "work").mkdir(parents=True, exist_ok=True)

    def command(kind: str, *arguments: object) -> list[str]:
        return [
            java(), f"-Xmx{settings.spark_mb}m", *(f"--add-opens={name}=ALL-UNNAMED" for name in OPENS),
            f"-Dlog4j2.configurationFile={HERE / 'spark' / 'log4j2.properties'}", "-cp", f"{home() / 'jars'}/*",
            f"org.apache.spark.deploy.{kind}", *map(str, arguments),
        ]  # fmt: skip

    master = command(
        "master.Master", "--host", host, "--port", settings.spark_port, "--webui-port", settings.spark_page_port
    )
    worker = command(
        "worker.Worker", "--host", host, "--cores", settings.spark_cores, "--memory", "6g",
        "--work-dir", folder / "work",
        "--webui-port", settings.spark_worker_page_port, f"spark://{host}:{settings.spark_port}",
    )  # fmt: skip
    return [
        Service(
            "spark-master", master, {"spark_port": settings.spark_port, "spark_page_port": settings.spark_page_port},
            lambda: _workers(settings) is not None, prepare, environment,
        ),
        Service(
            "spark-worker", worker, {"spark_worker_page_port": settings.spark_worker_page_port},
            lambda: bool(_workers(settings)), prepare, environment,
        ),
    ]  # fmt: skip


def _workers(settings: ClusterSettings) -> int | None:
    """How many workers the master has; None while it cannot answer."""
    try:
        with urlopen(f"http://{settings.host}:{settings.spark_page_port}/json/", timeout=5) as response:
            return int(json.load(response)["aliveworkers"])
    except (URLError, TimeoutError, ValueError, KeyError, ConnectionError):
        return None
