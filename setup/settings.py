"""Where the cluster's parts listen, how much memory they may take, and where they keep their files."""

import socket
import time
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quicksilver.errors import InputError

RELEASE_S = 3.0


class ClusterSettings(BaseSettings):
    """The cluster on one machine; each setting is the environment variable ``CLUSTER_`` and its name in capitals.

    Memory is the JVM's heap in megabytes; a JVM takes about 300 MB more.
    """

    model_config = SettingsConfigDict(env_prefix="CLUSTER_", env_ignore_empty=True)

    folder: Path = Field(default=Path("build/cluster"), description="configuration, data, logs and process numbers")
    jars: Path = Field(default=Path("build/jars"), description="jars from Maven Central")
    host: str = "127.0.0.1"
    kafka_port: int = 9092
    kafka_controller_port: int = 9093
    kafka_mb: int = 768
    cassandra_port: int = 9042
    cassandra_storage_port: int = 7000
    cassandra_jmx_port: int = 7199
    cassandra_mb: int = 1024
    zookeeper_port: int = 2181
    zookeeper_mb: int = 128
    flink_port: int = Field(default=8081, description="Flink's REST interface and web page")
    flink_rpc_port: int = 6123
    flink_jobmanager_mb: int = 1024
    flink_taskmanager_mb: int = 2048
    flink_taskmanagers: int = Field(
        default=1, ge=1, description="each has one slot: slots of one process share a Python lock"
    )
    spark_port: int = 7077
    spark_page_port: int = 8080
    spark_worker_page_port: int = 8082
    spark_mb: int = 512
    spark_cores: int = 2

    @classmethod
    def on_free_ports(cls, folder: Path) -> "ClusterSettings":
        """Return settings of a cluster that disturbs no other: free ports, files under ``folder``."""
        names = [name for name in cls.model_fields if name.endswith("_port")]
        sockets = [socket.socket() for _ in names]
        try:
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            return cls(folder=folder, **{name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)})
        finally:
            for one in sockets:
                one.close()


def require_free(name: str, setting: str, host: str, port: int) -> None:
    """Make sure that nobody listens there, or not for long: a server just killed takes a moment to let go.

    Raises:
        InputError: somebody does.
    """
    until = time.monotonic() + RELEASE_S
    while not _free(host, port):
        if time.monotonic() > until:
            raise InputError(
                f"{name}: port {port} is taken by another program; stop it, or set CLUSTER_{setting.upper()}"
            )
        time.sleep(0.1)


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
