"""Where the cluster's parts listen, how much memory they may take, and where they keep their files."""

import errno
import socket
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from quicksilver.errors import InputError

RELEASE_S = 3.0
BUILD = Path(__file__).resolve().parent.parent / "build"
Port = Annotated[int, Field(ge=1, le=65535)]
Megabytes = Annotated[int, Field(ge=64)]


class ClusterSettings(BaseSettings):
    """The cluster on one machine; each setting is the environment variable ``CLUSTER_`` and its name in capitals.

    Memory is in megabytes: Java's heap (a JVM takes about 300 MB more), Flink's whole processes, or what a Spark
    worker gives to its executors.
    """

    model_config = SettingsConfigDict(env_prefix="CLUSTER_", env_ignore_empty=True)

    folder: Path = Field(default=BUILD / "cluster", description="configuration, data, logs and process numbers")
    jars: Path = Field(default=BUILD / "jars", description="jars from Maven Central")
    disk_mb: int = Field(default=1024, description="free disk space without which nothing is started")
    host: str = "127.0.0.1"
    kafka_port: Port = 9092
    kafka_controller_port: Port = 9093
    kafka_mb: Megabytes = 768
    cassandra_port: Port = 9042
    cassandra_storage_port: Port = 7000
    cassandra_jmx_port: Port = 7199
    cassandra_mb: Megabytes = 1024
    zookeeper_port: Port = 2181
    zookeeper_mb: Megabytes = 128
    flink_port: Port = Field(default=8081, description="Flink's REST interface and web page")
    flink_rpc_port: Port = 6123
    flink_jobmanager_mb: Megabytes = 1024
    flink_taskmanager_mb: Megabytes = 1536
    flink_taskmanagers: int = Field(
        default=3,
        ge=1,
        description="one for each job at least; each has one slot: slots of one process share a Python lock",
    )
    spark_port: Port = 7077
    spark_page_port: Port = 8080
    spark_worker_page_port: Port = 8082
    spark_mb: Megabytes = Field(default=512, description="heap of the master and of the worker itself")
    spark_worker_mb: Megabytes = Field(default=6144, description="what the worker gives to its executors in all")
    spark_cores: int = Field(default=2, ge=1)

    @property
    def kafka_servers(self) -> str:
        """Return Kafka's address, as its clients want it."""
        return f"{self.host}:{self.kafka_port}"

    @classmethod
    def from_environment(cls) -> "ClusterSettings":
        """Return the settings of this shell.

        Raises:
            InputError: a variable is not what it must be.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = f"CLUSTER_{first['loc'][0]}".upper()
            raise InputError(f"{name}={first['input']}: {first['msg']}") from error

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

    def require_distinct_ports(self) -> None:
        """Make sure that no two settings name one port.

        Raises:
            InputError: two do.
        """
        users = defaultdict(list)
        for name in type(self).model_fields:
            if name.endswith("_port"):
                users[getattr(self, name)].append(f"CLUSTER_{name.upper()}")
        for port, names in users.items():
            if len(names) > 1:
                raise InputError(f"{' and '.join(names)} are both {port}: give each a port of its own")


def require_free(name: str, setting: str, host: str, port: int) -> None:
    """Make sure that nobody listens there, or not for long: a server just killed takes a moment to let go.

    Raises:
        InputError: somebody does, or this machine has no such address or may not use the port.
    """
    until = time.monotonic() + RELEASE_S
    while (why := _refusal(host, port)) == errno.EADDRINUSE:
        if time.monotonic() > until:
            raise InputError(
                f"{name}: port {port} is taken by another program; stop it, or set CLUSTER_{setting.upper()}"
            )
        time.sleep(0.1)
    if why == errno.EACCES:
        raise InputError(f"{name}: only root may use port {port}; set CLUSTER_{setting.upper()} to 1024 or more")
    if why:
        raise InputError(f"CLUSTER_HOST={host} is no address of this machine")


def _refusal(host: str, port: int) -> int:
    """Why one cannot listen there: an errno (that of a wrong address for a name unknown), or 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror:
            return errno.EADDRNOTAVAIL
        except OSError as error:
            return error.errno or errno.EADDRNOTAVAIL
    return 0
