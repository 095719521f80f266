"""Kafka to Kafka through Flink: what the jobs share.

https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/connectors/datastream/kafka/

Source and sink are Flink's own, with a few classes of ours (``setup/flink/java``): PyFlink's schemas know values alone,
and messages have keys, headers and places.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field
from pyflink.common import Types, WatermarkStrategy
from pyflink.datastream import DataStream, KeyedStream, StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway

from jobs.keyed import Keyed
from jobs.settings import FullBookSettings
from quicksilver.streaming.machine import Machine
from quicksilver.streaming.message import Message
from quicksilver.topics import DEPLOYMENTS, MAX_MESSAGE, Topic

BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())
FOR_EVER_MS = str(2**31 - 1)
MOST_SLOTS = 128  # to which a job can grow with its state


class FlinkSettings(FullBookSettings):
    """What a job is told; each is the environment variable of its name in capitals."""

    kafka_servers: str = Field(default="127.0.0.1:9092", description="Kafka's addresses, with commas")
    kafka_group: str = Field(default="quicksilver", description="prefix of the jobs' consumer groups")
    parallelism: int = Field(default=1, ge=1, description="slots of each job; one a TaskManager")


def read(
    env: StreamExecutionEnvironment, settings: FlinkSettings, name: str, topics: Sequence[Topic], by: str = ""
) -> KeyedStream:
    """Return the topics' messages, from the earliest that Kafka has, by their key or by the header ``by``.

    Of a deployment the key is that of its instrument, beside whose other messages it is to come.

    Machines drop what they have had, so that what is read again does no harm. There is no watermark: event time is in
    the events, and the order is in their numbers.
    """
    jvm = get_gateway().jvm
    kafka = jvm.org.apache.flink.connector.kafka.source
    builder = kafka.KafkaSource.builder().setBootstrapServers(settings.kafka_servers)
    builder = builder.setTopics([topic.name for topic in topics]).setGroupId(f"{settings.kafka_group}-{name}")
    builder = builder.setStartingOffsets(kafka.enumerator.initializer.OffsetsInitializer.earliest())
    builder = builder.setProperty("fetch.max.wait.ms", "50")
    # Topics are read in turns, and what is read of one waits for the others: short turns keep that little.
    builder = builder.setProperty("max.partition.fetch.bytes", str(128 << 10))
    source = builder.setDeserializer(jvm.quicksilver.MessageReader(by, DEPLOYMENTS.name)).build()
    times = WatermarkStrategy.no_watermarks()._j_watermark_strategy
    stream = env._j_stream_execution_environment.fromSource(source, times, f"kafka {name}").uid(f"{name}-source")
    # What PyFlink's ``key_by`` does, but for the call of Python that would find the key: it is there already.
    selector, key = jvm.KeyByKeySelector(), Types.ROW([Types.STRING()]).get_java_type_info()
    gatherer = jvm.quicksilver.MessageGatherer()
    gathered = stream.keyBy(selector, key).transform("gather", stream.getType(), gatherer).uid(f"{name}-gather")
    utilities = jvm.org.apache.flink.streaming.api.datastream.DataStreamUtils
    return KeyedStream(utilities.reinterpretAsKeyedStream(gathered, selector, key), BYTES, DataStream(gathered))


def by_key(message: Message) -> str:
    """Return the key of a message."""
    return message.key


def by_instrument(message: Message) -> str:
    """Return the key of a message's instrument: what ``read`` keys a deployment by."""
    return message.instrument


def by_universe(message: Message) -> str:
    """Return the universe of a message's producer: what ``read(by="u")`` keys by."""
    return message.headers.u


def run_machine(
    stream: KeyedStream, name: str, machine: Callable[[str], Machine], key_of: Callable[[Message], str] = by_key
) -> DataStream:
    """Return what a machine for each key makes of the messages: of each, all that it causes."""
    return stream.process(Keyed(machine, key_of), BYTES).name(name).uid(name)


def write(stream: DataStream, settings: FlinkSettings, name: str) -> None:
    """Send each message to its topic: at least once, at once, waiting as long as it takes for a broker that is away."""
    jvm = get_gateway().jvm
    kafka: Any = jvm.org.apache.flink.connector
    builder = kafka.kafka.sink.KafkaSink.builder().setBootstrapServers(settings.kafka_servers)
    builder = builder.setRecordSerializer(jvm.quicksilver.MessageWriter())
    builder = builder.setDeliveryGuarantee(kafka.base.DeliveryGuarantee.AT_LEAST_ONCE)
    properties = {
        "acks": "all", "enable.idempotence": "true", "compression.type": "lz4", "linger.ms": "0",
        # What comes while a request is on its way goes together in the next: batches without a wait.
        "max.in.flight.requests.per.connection": "1", "batch.size": str(256 << 10),
        "delivery.timeout.ms": FOR_EVER_MS, "max.block.ms": FOR_EVER_MS, "max.request.size": str(MAX_MESSAGE),
    }  # fmt: skip
    for key, value in properties.items():
        builder = builder.setProperty(key, value)
    each = stream._j_data_stream.flatMap(jvm.quicksilver.MessageSplitter())
    each.sinkTo(builder.build()).name(f"{name} to kafka").uid(f"{name}-sink")


def run(name: str, build: Callable[[StreamExecutionEnvironment, FlinkSettings], None]) -> None:
    """Submit the job that ``build`` describes, as the environment's settings say."""
    settings = FlinkSettings()
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(settings.parallelism)
    env.set_max_parallelism(MOST_SLOTS)
    env.get_config().set_global_job_parameters(settings.environment())  # where `jobs restart` finds them
    build(env, settings)
    env.execute(name)
