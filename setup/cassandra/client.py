"""Connecting to Cassandra; the one place that imports its driver, which is installed for the cluster only.

https://docs.datastax.com/en/developer/python-driver/3.29/
"""

import logging
import warnings
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from quicksilver.errors import InputError, StoreError

try:
    with warnings.catch_warnings():
        # Where the driver was built without libev it takes asyncore, which Python 3.11 has, and calls outdated.
        warnings.simplefilter("ignore", DeprecationWarning)
        from cassandra import ConsistencyLevel, DriverException, InvalidRequest, OperationTimedOut
        from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
        from cassandra.concurrent import execute_concurrent
        from cassandra.connection import ConnectionException
        from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, TokenAwarePolicy
        from cassandra.protocol import ErrorMessage
        from cassandra.query import UNSET_VALUE
except ImportError as error:
    raise InputError(f"the Cassandra driver is not installed ({error}): `make cluster` installs it") from error

__all__ = ["FAILURES", "UNSET_VALUE", "CassandraSettings", "InvalidRequest", "connect", "execute_concurrent", "why"]

FAILURES = (NoHostAvailable, DriverException, ConnectionException, ErrorMessage, OSError)
"""What the driver raises where a node is away, too slow, or refuses."""

CONNECT_S = 15.0  # a node on a busy machine; one that is not there refuses at once
REQUEST_S = 10.0
RECONNECT_S = 1.0  # a node that was away is in use again this soon after it is back

logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # who uses the connection says in its own words what fails


class CassandraSettings(BaseSettings):
    """Where Cassandra is; each setting is the environment variable ``CASSANDRA_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="CASSANDRA_", env_ignore_empty=True, frozen=True)

    hosts: str = Field(default="127.0.0.1", description="one or several nodes, with commas between")
    port: int = Field(default=9042, ge=1, le=65535)
    keyspace: str = Field(default="quicksilver", pattern="^[a-z][a-z0-9_]{0,47}$")
    replication: int = Field(default=1, ge=1, description="copies of each row, where `schema apply` makes the keyspace")

    @classmethod
    def from_environment(cls) -> "CassandraSettings":
        """Return the settings.

        Raises:
            InputError: a variable cannot be used.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = f"CASSANDRA_{str(first['loc'][0]).upper()}"
            raise InputError(f"{name}={first['input']}: {first['msg']}") from error

    @property
    def where(self) -> str:
        """The nodes, for people."""
        return f"{self.hosts} port {self.port}"


def why(error: BaseException) -> str:
    """Return a driver's error in few words: what the last node said, where no node would answer."""
    if isinstance(error, OperationTimedOut):
        return "it takes too long"
    nodes = getattr(error, "errors", None)
    if isinstance(nodes, dict) and nodes:
        return why(list(nodes.values())[-1])
    if isinstance(error, NoHostAvailable):
        return "no node answers"
    if isinstance(error, OSError):
        return str(error.strerror or error).rpartition("Last error: ")[2]
    return str(error).partition('message="')[2].rstrip('"') or str(error) or type(error).__name__


def connect(settings: CassandraSettings, keyspace: str | None = None) -> Any:
    """Return a session, in the keyspace if one is named; ``session.cluster.shutdown()`` ends it.

    Raises:
        StoreError: no node answers, or the keyspace is not there.
    """
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy()),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,  # one node of one, two of three: what is written is read
        request_timeout=REQUEST_S,
    )
    cluster = None
    try:
        cluster = Cluster(
            [host.strip() for host in settings.hosts.split(",")], port=settings.port, connect_timeout=CONNECT_S,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            reconnection_policy=ConstantReconnectionPolicy(RECONNECT_S, max_attempts=None),
        )  # fmt: skip
        return cluster.connect(keyspace)
    except FAILURES as error:
        if cluster is not None:
            cluster.shutdown()
        raise StoreError(f"Cassandra at {settings.where} does not answer ({why(error)})") from error
