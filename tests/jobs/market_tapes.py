"""Tapes of several instruments, with what goes wrong on real ones, for tests of jobs that share them out."""

import heapq
from pathlib import Path

from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter

START = 1_790_000_000_000_000_000
SYMBOLS = ["BTC/USD", "ETH/USD", "SOL/USD"]


def bitstamp(symbol: str, crossed_at: int | None, seconds: int = 40) -> list[Frame]:
    """A book whose messages prove nothing: only who keeps it sees that it is crossed; a snapshot every ten seconds."""
    frames = []
    for i in range(seconds):
        ts_ns = START + i * 1_000_000_000
        bids = '[["105","1"]]' if i == crossed_at else f'[["98","{1 + i % 3}"]]'
        body = (
            f'{{"event":"data","channel":"diff_order_book_{symbol}","data":{{"microtimestamp":"{ts_ns // 1000}",'
            f'"bids":{bids},"asks":[]}}}}'
        )
        frames.append(Frame("bitstamp", "b", "recv", ts_ns, body.encode()))
        if i % 10 == 1:
            stamp = (ts_ns - 500_000_000) // 1000
            book = f'{{"microtimestamp":"{stamp}","bids":[["99","1"]],"asks":[["101","1"]]}}'
            frames.append(Frame("bitstamp", "b", "rest", ts_ns, book.encode(), f"https://x/order_book/{symbol}/"))
    return frames


def kraken(seed: int, seconds: int = 40) -> list[Frame]:
    raw = simulated(Market(seed, START, SYMBOLS), SYMBOLS, 10, seconds * 100)
    return [Frame("kraken", "k", "recv", ts_ns, payload) for ts_ns, payload in raw]


def tape(path: Path, seed: int = 4, seconds: int = 40) -> Path:
    """Write five instruments of two venues; two books cross, a frame is torn, and one is of no venue."""
    mine = kraken(seed, seconds)
    mine[-100] = Frame("kraken", "k", "recv", mine[-100].ts_recv_ns, mine[-100].payload[:30])
    frames = [mine, bitstamp("btcusd", 15, seconds), bitstamp("ethusd", 22, seconds)]
    with TapeWriter(path) as writer:
        writer.write(Frame("nowhere", "n", "recv", START, b"{}"))
        for frame in heapq.merge(*frames, key=lambda frame: frame.ts_recv_ns):
            writer.write(frame)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Return a replay's files, but for the frontiers, which no share computes."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "frontiers.jsonl"}
