"""What a cluster does to messages, without a cluster: topics read apart, repeats, and the jobs one after the other."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from quicksilver.events import AnyEvent
from quicksilver.streaming.machine import Machine
from quicksilver.streaming.message import Headers, Message, Outgoing, event_message

START_MS = 1_800_000_000_000


def published(
    events: Iterable[AnyEvent], session: str = "s", ms: int = START_MS, interval: str = "", universe: str = "auto"
) -> list[Outgoing]:
    """What a producer sends of a session's events, three of them a millisecond."""
    return [
        event_message(event, ms + i // 3, Headers(s=session, g=str(i + 1), i=interval, u=universe))
        for i, event in enumerate(events)
    ]


def read(sent: Sequence[Outgoing]) -> list[Message]:
    """The messages as readers see them: each topic is a log."""
    offsets: defaultdict[str, int] = defaultdict(int)
    out = []
    for one in sent:
        out.append(Message(one.topic, 0, offsets[one.topic], one.ts_ms, one.key, one.headers, one.value))
        offsets[one.topic] += 1
    return out


def apart(messages: Sequence[Message], seed: int, repeats: float = 0.0) -> list[Message]:
    """Another order: that of each topic is kept, theirs to each other is not; stretches may be read again."""
    rng = random.Random(seed)
    topics = {name: [one for one in messages if one.topic == name] for name in {one.topic for one in messages}}
    places, out = dict.fromkeys(sorted(topics), 0), list[Message]()
    while open_topics := [name for name in places if places[name] < len(topics[name])]:
        name = rng.choice(open_topics)
        stop = places[name] + rng.randint(1, 40)
        out += topics[name][places[name] : stop]
        places[name] = max(0, stop - rng.randint(1, 60)) if rng.random() < repeats else stop
    return out


def run(
    make: Callable[[str], Machine],
    messages: Iterable[Message],
    save_every: int = 0,
    by: Callable[[Message], str] = lambda message: message.key,
) -> list[Outgoing]:
    """A job: a machine a key, saved and loaded now and then; what still waits at the end is given up."""
    machines: dict[str, Machine] = {}
    out: list[Outgoing] = []
    for i, message in enumerate(messages):
        key = by(message)
        machine = machines.get(key) or machines.setdefault(key, make(key))
        out += machine.take(message)
        if save_every and i % save_every == 0:
            again = machines[key] = make(key)
            again.load(machine.dump())
            assert again.dump() == machine.dump()
    for machine in machines.values():
        while machine.waits_for is not None:
            out += machine.give_up()
    return out


def rows(sent: Iterable[Outgoing]) -> dict[tuple[str, str], list[bytes]]:
    """The values by topic and key, in order."""
    found: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
    for one in sent:
        found[one.topic, one.key].append(one.value)
    return dict(found)


def damaged(message: Message) -> Message:
    """The message with a value that is no JSON."""
    return msgspec.structs.replace(message, value=b"{" + message.value[:20])
