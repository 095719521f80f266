"""Deployments through real Kafka and Flink: what one process says, to the bit; 14 MB of one; and what is refused."""

import secrets
from collections.abc import Iterable

import msgspec
import onnx
import pytest
from msgspec.structs import replace

from jobs.publishing import publish as publish_record
from quicksilver import codec
from quicksilver.config import PipelineConfig
from quicksilver.models.card import Card, Deployment, packed
from quicksilver.records import DeadLetter, Prediction
from quicksilver.streaming.message import Message
from quicksilver.topics import MAX_MESSAGE
from tests.cards import MOVES, card_of, histories_of
from tests.stack.kafka import FULL_BOOKS, messages_of, publish, read_until
from tests.stack.test_parity import computed, differences, in_one_process, market, universe_of

VENUE = "deployed"
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")


def grown(card: Card, size: int) -> Card:
    """The same model in so many bytes, as a large forest has them."""
    model = onnx.load_from_string(card.unpacked())
    padding = model.metadata_props.add()
    padding.key, padding.value = "padding", secrets.token_hex(size)
    return replace(card, model=packed(model.SerializeToString())).versioned()


def refused(servers: str, after: Deployment) -> None:
    """Publish what cannot be used, and wait for its letter: what lies before it in its topic has been adopted."""
    bad = replace(after, shadows=(), live=replace(after.live, data=secrets.token_hex(4)) if after.live else None)
    publish_record(bad, servers)

    def letters(found: Iterable[Message]) -> list[DeadLetter]:
        mine = [one for one in found if one.topic == "dead-letters" and one.key == f"{after.venue}:{after.symbol}"]
        return [codec.decode(DeadLetter, one.value) for one in mine]

    found = letters(read_until(servers, ["dead-letters"], lambda found: bool(letters(found))))
    assert found[0].source.startswith("deployments[")
    assert "is damaged: its content is that of another version" in found[0].reason


@pytest.mark.usefixtures("jobs")
def test_flink_predicts_as_its_deployments_say_what_one_process_says(servers: str) -> None:
    events = market(VENUE, 21, 60)
    histories = histories_of(events)
    fast, moves = grown(card_of("fast", histories), 10_500_000), card_of("moves", histories, MOVES)
    wanted = [
        Deployment(VENUE, symbol, *rest) for symbol in SYMBOLS for rest in (("moves", None, (moves,)), ("fast", fast))
    ]
    assert 13_000_000 < len(msgspec.json.encode(wanted[1])) < MAX_MESSAGE
    for one in wanted:
        publish_record(one, servers)
    for one in wanted[1::2]:
        refused(servers, one)
    config = universe_of(FULL_BOOKS.of(PipelineConfig()), VENUE)
    truth = in_one_process(events, config, wanted)
    publish(servers, messages_of(events, "s", VENUE))
    assert differences(computed(servers, truth), truth) == []
    said = [codec.decode(Prediction, value) for value in truth["predictions", f"{VENUE}:BTC-USD"]]
    assert {(one.version, one.role) for one in said} == {
        ("1", "online"), (fast.version, "live"), (moves.version, "shadow"),
    }  # fmt: skip
