"""A simulated venue on a local port: its websocket and its REST, paced to real time, with faults on the line."""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import TypeAlias

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from producers.simulator.faults import ON_MESSAGES, Fault, Line, Schedule
from producers.simulator.serving import response
from producers.simulator.venues.base import Answer, Message, Session, VenueEngine
from quicksilver.errors import InputError
from quicksilver.events import SECOND_NS

PACE_S = 0.005  # messages are sent in batches of this length
SLICE_S = 0.02  # how long a burst may keep the event loop ...
STEPS = 16  # ... asked for after so many steps of about 20 us
MAX_LATE_S = 1.0  # after a pause (a laptop's sleep) the market goes on, it does not replay the pause
MAX_BACKLOG = 32 << 20  # bytes a client may leave unread before it is dropped; 50 whole books are 12 MB
RETRY_AFTER_S = 1
SERVICE_RESTART = 1012  # https://www.iana.org/assignments/websocket/websocket.xml
Clock: TypeAlias = Callable[[], int]
Watch: TypeAlias = Callable[[Message | Answer], None]


class VenueServer:
    """A running venue: ``url`` is where its websocket is, ``rest_url`` scheme and host of its REST."""

    def __init__(
        self,
        engine: VenueEngine,
        speed: float = 1.0,
        faults: Iterable[Fault] = (),
        clock: Clock | None = None,
        max_backlog: int = MAX_BACKLOG,
    ) -> None:
        """Take an engine; its time runs ``speed`` times as fast as ours.

        With ``clock`` (nanoseconds since 1970) it is brought up to that at the start and after each pause.

        Raises:
            InputError: the speed is not above 0, or a fault is of a symbol that is not there.
        """
        self.url = self.rest_url = ""
        self.engine = engine
        self.sent = 0  # messages
        self.connections = 0  # since the start
        self.dropped = 0  # clients that read too slowly
        self.injected: list[Fault] = []
        self.watch: Watch | None = None  # told each message and book before anything can go wrong with it
        if not 0.0 < speed < math.inf:
            raise InputError(f"the simulator's speed must be above 0, not {speed}")
        self._speed = speed
        self._clock = clock
        self._max_backlog = max_backlog
        given = list(faults)
        self._schedule = Schedule(given, list(engine.books), engine.market.seed)
        engine.watched.update(engine.books if given else ())
        self._clients: dict[ServerConnection, tuple[Session, Line]] = {}
        self._by_session: dict[Session, ServerConnection] = {}
        self._muted = False
        self._refuse_until_s = 0.0
        self._pause_until_s = 0.0
        self._started_s = asyncio.get_running_loop().time()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._closing: set[asyncio.Future[None]] = set()

    @property
    def path(self) -> str:
        """The websocket's, in its address."""
        return self.engine.path

    def now_s(self) -> float:
        """Seconds since the start."""
        return asyncio.get_running_loop().time() - self._started_s

    def answer(self, client: ServerConnection, request: Request) -> Response | None:  # noqa: ARG002
        """Answer what is asked over HTTP; None: it is a websocket's handshake, which may go on."""
        upgrade = "Upgrade" in request.headers
        if self.now_s() < self._refuse_until_s and not (upgrade and self.engine.rest_books):
            return response(429, b"", {"Retry-After": str(RETRY_AFTER_S)})
        if upgrade:
            return None
        answer = self.engine.rest(request.path)
        if self.watch is not None:
            self.watch(answer)
        return response(answer.status, answer.body)

    async def handle(self, client: ServerConnection) -> None:
        """Serve one client until it goes."""
        session, line = self.engine.connect(), Line()
        self.connections += 1
        self._clients[client] = (session, line)
        self._by_session[session] = client
        try:
            self._say(client, session.greeting)
            while True:
                # Answers are written at once, so that no change can come between a snapshot and its subscription.
                self._say(client, self.engine.request(session, await client.recv()))
        except ConnectionClosed:
            return
        finally:
            del self._clients[client], self._by_session[session]
            self.engine.disconnect(session)

    def _say(self, client: ServerConnection, messages: Iterable[Message]) -> None:
        line, now_s = self._clients[client][1], self.now_s()
        texts: list[str] = []
        for message in messages:
            if self.watch is not None:
                self.watch(message)
            texts += line.pass_on(message, now_s)
        self._write(client, texts)

    def _write(self, client: ServerConnection, texts: list[str]) -> None:
        """Write several messages at once: a system call for each would be most of the work."""
        if not texts or self._muted or client.protocol.state is not State.OPEN or client.transport.is_closing():
            return
        if client.transport.get_write_buffer_size() > self._max_backlog:
            self.dropped += 1
            client.transport.abort()
            return
        for text in texts:
            client.protocol.send_text(text.encode())
        client.transport.write(b"".join(client.protocol.data_to_send()))
        self.sent += len(texts)

    def inject(self, fault: Fault) -> None:
        """Let a fault happen now, or with the next message that it can happen to."""
        self.injected.append(fault)
        now_s, lines = self.now_s(), [line for _, line in self._clients.values()]
        if fault.kind in ON_MESSAGES:
            self.engine.watched.add(fault.symbol)
            for line in lines:
                line.armed.append(fault)
        elif fault.kind == "delay":
            for line in lines:
                line.free_at_s = now_s + fault.for_s
        elif fault.kind == "stall":
            for line in lines:
                line.silent_until_s = now_s + (fault.for_s or math.inf)
        elif fault.kind == "sequence-reset":
            self.engine.reset(fault.symbol)
        elif fault.kind == "maintenance":
            self._maintain(fault)
        else:
            self._break(fault, now_s)

    def _break(self, fault: Fault, now_s: float) -> None:
        """Let connections break, now or after a book has been remembered for what comes."""
        if fault.kind == "old-snapshot":
            self.engine.age(fault.symbol)
            self._later.append((now_s + fault.for_s, self.disconnect_all))
            return
        if fault.kind == "429":
            self._refuse_until_s = now_s + fault.for_s
        self.disconnect_all()

    def _maintain(self, fault: Fault) -> None:
        notice = self.engine.notice()
        self._tell_all(notice.before)
        over_s = self.now_s() + fault.for_s
        if notice.closes:
            self._later.append((over_s, self.close_all))
        else:
            self._pause_until_s = over_s
            self._later.append((over_s, lambda: self._tell_all(notice.after)))

    def _tell_all(self, texts: list[str]) -> None:
        for client in list(self._clients):
            self._say(client, [Message(text) for text in texts])

    def disconnect_all(self) -> None:
        """Break every connection, as a network does: without a closing handshake."""
        for client in list(self._clients):
            client.transport.abort()

    def close_all(self) -> None:
        """Close every connection in order: what was sent before arrives before the end."""
        for client in list(self._clients):
            closing = asyncio.ensure_future(client.close(SERVICE_RESTART, "service restart"))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def pause(self) -> None:
        """Let the market stand still for good, with all told that has happened."""
        self._pause_until_s = math.inf
        self._flush()

    def mute(self) -> None:
        """Write nothing more, not even answers: what was sent until now is all that will be."""
        self._muted = True

    def _flush(self) -> None:
        said: dict[ServerConnection, list[Message]] = {}
        for session, message in self.engine.flush():
            said.setdefault(self._by_session[session], []).append(message)
        for client, messages in said.items():
            self._say(client, messages)

    async def run(self) -> None:
        """Advance the market with the clock, for ever."""
        self._keep_up()
        since_s, since_ns = self.now_s(), self.engine.market.now_ns
        while True:
            now_s = self.now_s()
            self._happen(now_s)
            target_ns = since_ns + int((now_s - since_s) * self._speed * SECOND_NS)
            late = target_ns - self.engine.next_ns > MAX_LATE_S * self._speed * SECOND_NS
            if late or now_s < self._pause_until_s:
                await asyncio.sleep(PACE_S)
                self._keep_up()
                since_s, since_ns = self.now_s(), self.engine.market.now_ns
                continue
            self._advance(target_ns)
            await asyncio.sleep(PACE_S if self.engine.next_ns > target_ns else 0)

    def _happen(self, now_s: float) -> None:
        """Let the faults happen whose time has come, and what was to come after earlier ones."""
        for fault in self._schedule.due(now_s):
            self.inject(fault)
        due = [work for at_s, work in self._later if at_s <= now_s]
        self._later = [one for one in self._later if one[0] > now_s]
        for work in due:
            work()
        for client, (_, line) in list(self._clients.items()):
            self._write(client, line.released(now_s))

    def _advance(self, target_ns: int) -> None:
        """Take the market on to a time, or as far as a slice of ours goes, and write what is said of it."""
        until_s, steps = self.now_s() + SLICE_S, 0
        said: dict[Session, list[Message]] = {}
        while self.engine.next_ns <= target_ns and (steps % STEPS or self.now_s() < until_s):
            steps += 1
            for session, message in self.engine.step():
                said.setdefault(session, []).append(message)
        for session, messages in said.items():
            self._say(self._by_session[session], messages)

    def _keep_up(self) -> None:
        """Let the time pass that the market slept through."""
        if self._clock is not None:
            now_ns = self._clock()
            self.engine.market.rest(max(0, now_ns - self.engine.market.now_ns))
            self.engine.skip_to(now_ns)
