"""Our tables through the official Cassandra connector: rows in and out of Spark.

https://github.com/apache/cassandra-spark-connector/blob/trunk/doc/14_data_frames.md
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from jobs.choices import Span
from quicksilver import codec
from quicksilver.tables import KEYS_LIFE_S, TABLES, Table

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

    from setup.cassandra.client import CassandraSettings  # workers elsewhere import this file, and have no ``setup``

FORMAT = "org.apache.spark.sql.cassandra"
ANSWER_S = 15.0


def connector_conf(settings: "CassandraSettings") -> dict[str, str]:
    """Return what a session needs to reach Cassandra; its jars come by ``session(..., connectors=True)``."""
    return {
        "spark.cassandra.connection.host": settings.hosts,
        "spark.cassandra.connection.port": str(settings.port),
        # Joins with partitions that are known by name read those alone, not the whole table.
        "spark.sql.extensions": "com.datastax.spark.connector.CassandraSparkExtensions",
        "spark.sql.debug.maxToStringFields": "100",  # no warning of tables that are wide
        "spark.cassandra.output.ignoreNulls": "true",  # a null would be a tombstone, which slows each read
        "spark.cassandra.output.consistency.level": "LOCAL_QUORUM",
        "spark.cassandra.input.consistency.level": "LOCAL_QUORUM",
    }


def keys_of(settings: "CassandraSettings", topic: str) -> list[str]:
    """Return the topic keys that have rows, without Spark: to know in time that there is something to do.

    Raises:
        StoreError: Cassandra does not answer, or its tables are not there or of another version.
    """
    from api.store_cassandra import CassandraStore

    store = CassandraStore(settings, lambda _: None)
    try:
        store.wait(ANSWER_S)
        return store.keys(topic)
    finally:
        store.close()


def _table(spark: "SparkSession", settings: "CassandraSettings", name: str) -> "DataFrame":
    return spark.read.format(FORMAT).options(keyspace=settings.keyspace, table=name).load()


def read(
    spark: "SparkSession",
    settings: "CassandraSettings",
    topic: str,
    keys: Sequence[str],
    span: Span = Span(),  # noqa: B008 (immutable)
) -> "DataFrame":
    """Return the rows of those topic keys and that time; only the partitions that hold them are read."""
    from pyspark.sql import functions as f

    table = TABLES[topic]
    first, last = span.since_ns // table.bucket_ns, (span.until_ns - 1) // table.bucket_ns
    buckets = _table(spark, settings, "keys").where((f.col("topic") == topic) & f.col("key").isin(list(keys)))
    buckets = buckets.where((f.col("day") >= first) & (f.col("day") <= last))
    parts = [(*table.partition_of(row["key"]), row["day"]) for row in buckets.collect()]
    schema = ", ".join([*(f"{name} string" for name in table.partition), f"{table.bucket.name} int"])
    rows = _table(spark, settings, table.name)
    found = spark.createDataFrame(parts, schema).join(rows, [*table.wide_partition])
    return found.where((f.col(table.time) >= span.since_ns) & (f.col(table.time) < span.until_ns))


def write(lines: "DataFrame", settings: "CassandraSettings", topic: str) -> None:
    """Upsert records; returns when all are stored.

    ``lines`` has the topic ``key``, the ``day`` (see ``tables.KEYS``), what makes the row unique there (``row_key``),
    the record's JSON (``line``), and a place (``tape``, ``n``, ``i``): of one row the last counts, for what is written
    at once has no order.
    """
    from pyspark.sql import functions as f

    table = TABLES[topic]
    keys = lines.select(f.lit(topic).alias("topic"), "key", "day").distinct()
    _append(keys, settings, "keys", ttl=str(table.ttl_s + KEYS_LIFE_S))  # first: a row without its key is not found
    last = lines.groupBy("key", "row_key").agg(f.max_by("line", f.struct("tape", "n", "i")).alias("line"))
    _append(last.select("line").mapInArrow(_to_columns(table), schema_of(table)), settings, table.name)


def _append(frame: "DataFrame", settings: "CassandraSettings", name: str, **options: str) -> None:
    where = {"keyspace": settings.keyspace, "table": name, **options}
    frame.write.format(FORMAT).options(**where).mode("append").save()


def schema_of(table: Table) -> str:
    """Return a table's columns as Spark names their types.

    >>> schema_of(TABLES["latency"])[:48]
    'day int, hop string, ts_event_ns bigint, n bigin'
    """
    from jobs.rows import SPARK  # here, not above: it brings Arrow

    return ", ".join(f"{column.name} {SPARK[column.kind]}" for column in table.columns)


class _to_columns:  # noqa: N801 (a function that Spark can send to its workers)
    def __init__(self, table: Table) -> None:
        self._name = table.topic.name

    def __call__(self, batches: Iterable["pyarrow.RecordBatch"]) -> Iterator["pyarrow.RecordBatch"]:
        import pyarrow as pa

        from jobs.rows import ARROW

        table = TABLES[self._name]
        schema = pa.schema([(column.name, ARROW[column.kind]) for column in table.columns])
        for batch in batches:
            rows = [table.row(codec.decode(table.topic.type, line)) for line in batch.column(0).to_pylist()]  # type: ignore[arg-type]
            columns = list(zip(*rows, strict=True)) or [()] * len(schema)
            yield pa.record_batch(
                [pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)], schema=schema
            )
