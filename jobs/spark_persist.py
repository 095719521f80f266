"""``quicksilver persist``: every topic of records -> its table in Cassandra, by Spark Structured Streaming.

The checkpoint says which messages are stored. A job that was killed does its last micro-batch again, which writes the
same rows onto themselves. https://spark.apache.org/docs/3.5.7/structured-streaming-kafka-integration.html
"""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.publishing import kafka_servers, producer_settings
from quicksilver.errors import InputError
from quicksilver.tables import TABLES
from setup.behind import step_behind
from setup.exits import failing
from setup.settings import BUILD

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from jobs.table_writer import TableWriter

Say = Callable[[str], None]


class PersistSettings(BaseSettings):
    """The job's settings; each is the environment variable ``PERSIST_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PERSIST_", env_ignore_empty=True)

    checkpoint: Path = Field(
        default=BUILD / "cluster" / "spark" / "checkpoints" / "persist", description="what is stored"
    )
    trigger_s: float = Field(
        default=1.0, ge=0, description="a micro-batch begins this long after the last at the earliest"
    )
    most_messages: int = Field(default=20_000, ge=1, description="of a micro-batch")
    driver_mb: int = Field(default=1024, ge=512, description="Java's heap of the driver, which is all with local[N]")
    executor_mb: int = Field(default=1024, ge=512, description="Java's heap of each executor of a Spark cluster")
    cores: int = Field(default=1, ge=1, description="of a Spark cluster")

    @classmethod
    def from_environment(cls) -> "PersistSettings":
        """Return the settings.

        Raises:
            InputError: a variable cannot be used.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"PERSIST_{str(first['loc'][0]).upper()}={first['input']}: {first['msg']}") from error

    def conf(self) -> dict[str, str]:
        """Return Spark's settings."""
        return {
            "spark.driver.memory": f"{self.driver_mb}m",
            "spark.executor.memory": f"{self.executor_mb}m",
            "spark.cores.max": str(self.cores),
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.execution.arrow.maxRecordsPerBatch": "200",  # a full book has half a megabyte
            "spark.kafka.consumer.cache.capacity": "512",  # of more partitions the consumers would be made anew
            "spark.sql.streaming.stopTimeout": "10s",
            "spark.sql.streaming.numRecentProgressUpdates": "10",  # they are read each second
            # Of what was done only the last is kept: this job runs for months.
            "spark.ui.retainedJobs": "20", "spark.ui.retainedStages": "20", "spark.ui.retainedTasks": "200",
            "spark.sql.ui.retainedExecutions": "5",
        }  # fmt: skip


def start(spark: "SparkSession", servers: str, writer: "TableWriter", settings: PersistSettings) -> "StreamingQuery":
    """Start the stream, from its checkpoint, or from the oldest messages if there is none."""
    options = {
        "kafka.bootstrap.servers": servers,
        "subscribePattern": "|".join(TABLES),  # a pattern, so that topics may be made later
        "startingOffsets": "earliest", "includeHeaders": "true",
        "maxOffsetsPerTrigger": str(settings.most_messages),
        "failOnDataLoss": "false",  # what has expired unread cannot be had again: it is counted and said
        # There is a consumer for each partition: this bounds what each holds. A larger message comes nevertheless.
        "kafka.max.partition.fetch.bytes": str(256 << 10),
        "kafka.default.api.timeout.ms": "10000", "kafka.request.timeout.ms": "5000",
        "kafka.reconnect.backoff.max.ms": "1000",
        "kafkaConsumer.pollTimeoutMs": "10000", "fetchOffset.numRetries": "1",
    }  # fmt: skip
    stream = spark.readStream.format("kafka").options(**options).load().writeStream.foreachBatch(writer.write)
    stream = stream.option("checkpointLocation", settings.checkpoint.absolute().as_uri())
    return stream.trigger(processingTime=f"{settings.trigger_s} seconds").start()


def run(settings: PersistSettings, say: Say, stopping: threading.Event) -> None:
    """Persist until ``stopping``.

    Raises:
        InputError: Spark cannot be started, a setting cannot be used, or the stream fails again and again.
    """
    from jobs.spark import session
    from jobs.stream_watch import StreamWatch, having
    from jobs.table_writer import TableWriter, cassandra_conf
    from setup.cassandra.client import CassandraSettings

    cassandra, servers = CassandraSettings.from_environment(), kafka_servers()
    conf = {**settings.conf(), **cassandra_conf(cassandra)}
    with having(settings.checkpoint), session("quicksilver persist", master(), connectors=True, conf=conf) as spark:
        spark.sparkContext.setLogLevel("OFF")  # traces of what is done again: what fails is said in a line
        for number in (signal.SIGINT, signal.SIGTERM):  # Spark has set its own
            signal.signal(number, lambda *_: stopping.set())
        writer = TableWriter(spark, cassandra.keyspace, producer_settings(servers), say, stopping)
        StreamWatch(writer, servers, say, stopping).run(lambda: start(spark, servers, writer, settings), cassandra)
    say("stopped")


def master() -> str:
    """Return where Spark runs: ``SPARK_MASTER``, or one core of this machine."""
    from jobs.spark import SparkSettings

    given = SparkSettings()
    return given.master if "master" in given.model_fields_set else "local[1]"


def persist() -> None:
    """Write every record's topic into its table, until Ctrl-C [SPARK_MASTER=local[1], PERSIST_CHECKPOINT, ...]."""
    step_behind(leave_a_core=True)
    with failing():
        run(PersistSettings.from_environment(), lambda text: typer.echo(f"persist: {text}"), threading.Event())


if __name__ == "__main__":
    typer.run(persist)
