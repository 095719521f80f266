"""What is in Kafka's topic ``universes``."""

from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from jobs.publishing import ANSWER_S
from quicksilver import codec
from quicksilver.errors import FrameError, InputError
from quicksilver.portfolio.config import Universe
from quicksilver.topics import UNIVERSES


def told(servers: str) -> list[Universe]:
    """Return the universes that the portfolio job has been told to compute, in the order in which they were told.

    Raises:
        InputError: Kafka does not answer.
    """
    settings = {"bootstrap.servers": servers, "group.id": "quicksilver-universes", "enable.auto.commit": False}
    reader, place = Consumer({**settings, "log_level": 0}), TopicPartition(UNIVERSES.name, 0)
    found: dict[str, Universe] = {}
    try:
        first, end = reader.get_watermark_offsets(place, timeout=ANSWER_S)
        reader.assign([TopicPartition(UNIVERSES.name, 0, first)])
        while first < end and reader.position([place])[0].offset < end:
            message = reader.poll(ANSWER_S)
            error = None if message is None else message.error()
            if message is None or error is not None:
                why = "no answer" if error is None else error.str()
                raise InputError(f"Kafka at {servers} does not give topic {UNIVERSES.name}: {why}")
            _take(found, message)
    except KafkaException as error:
        raise InputError(f"Kafka at {servers} does not answer: {error.args[0].str()}") from error
    finally:
        reader.close()
    return list(found.values())


def _take(found: dict[str, Universe], message: Any) -> None:
    """Take a message as the job does: it counts if it can be read, else what was before stays."""
    key = (message.key() or b"").decode(errors="replace")
    try:
        one = codec.decode(Universe, message.value() or b"")
    except FrameError:
        return
    if one.config is None:
        found.pop(key, None)
    else:
        found[key] = one
