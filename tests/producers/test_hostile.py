"""Frames and files made to hurt: each is a dead letter or a sentence, never a crash, and no book survives a doubt."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.csv_prices import CsvFile
from producers.exchanges.base import Parser
from producers.exchanges.bitstamp import BitstampParser
from producers.exchanges.coinbase import CoinbaseParser
from producers.exchanges.kraken import KrakenParser
from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import read_frames
from quicksilver.errors import InputError
from quicksilver.events import BookDelta, BookSnapshot, Gap, Trade
from quicksilver.records import DeadLetter

NOW = 1_790_000_000_000_000_000
MICROS = NOW // 1000
TIME = "2026-09-21T13:46:40.000000Z"  # NOW
Make = Callable[[], tuple[Parser, list[DeadLetter]]]
DEEP = b"[" * 100_000 + b"]" * 100_000


def frame(payload: bytes, at_ns: int = NOW) -> Frame:
    return Frame("v", "c", "recv", at_ns, payload)


def kraken() -> tuple[Parser, list[bytes], list[DeadLetter]]:
    """A parser with live books of two symbols, and the BTC-USD updates that follow."""
    letters: list[DeadLetter] = []
    parser = KrakenParser("v", letters.append)
    made = simulated(Market(1, NOW, ["BTC/USD", "ETH/USD"]), ["BTC/USD", "ETH/USD"], 10, 400)
    updates = []
    for ts_ns, payload in made:
        is_update = b'"type":"update"' in payload and b'"channel":"book"' in payload
        if not is_update:
            parser.parse(frame(payload, ts_ns))
        elif b"BTC/USD" in payload:
            updates.append(payload)
    return parser, updates, letters


def live_kraken() -> tuple[Parser, list[DeadLetter]]:
    parser, _, letters = kraken()
    return parser, letters


def coinbase() -> tuple[Parser, list[DeadLetter]]:
    letters: list[DeadLetter] = []
    parser = CoinbaseParser("v", letters.append)
    book = b'{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid","price_level":"1","new_quantity":"1"}]}'
    head = f'{{"channel":"l2_data","timestamp":"{TIME}","sequence_num":0,"events":['.encode()
    assert isinstance(parser.parse(frame(head + book + b"]}"))[0], BookSnapshot)
    return parser, letters


def bitstamp() -> tuple[Parser, list[DeadLetter]]:
    letters: list[DeadLetter] = []
    parser = BitstampParser("v", letters.append)
    body = f'{{"microtimestamp":"{MICROS}","bids":[["1","1"]],"asks":[["2","1"]]}}'.encode()
    found = parser.parse(Frame("v", "c", "rest", NOW, body, "https://x/order_book/btcusd/"))
    assert isinstance(found[0], BookSnapshot)
    return parser, letters


@pytest.mark.parametrize(
    "change",
    [
        (b'"update"', b'"upd\xb8te"'),
        (b'"channel":"book"', b'"channel":"bonk"'),
        (b'"channel"', b'"chonnel"'),
        (b'"data"', b'"dota"'),
        (b'"bids"', b'"bidz"'),
        (b'"asks"', b'"askz"'),
        (b'"checksum"', b'"chicksum"'),
        (b'"BTC/USD"', b'"bTC/USD"'),
        (b'"BTC/USD"', b'"BTD/USD"'),
        (b'"symbol"', b'"symbul"'),
        (b'"type":"update"', b'"x":' + DEEP + b',"type":"update"'),
        (b'"bids":[', b'"bids":[{"price":1e400,"qty":1},'),
        (b'"timestamp":"2', b'"timestamp":"9'),
    ],
    ids=lambda change: change[1][:20].decode(errors="replace"),
)
def test_kraken_a_damaged_update_opens_a_gap_at_once(change: tuple[bytes, bytes]) -> None:
    parser, updates, letters = kraken()
    events = parser.parse(frame(updates[0].replace(*change, 1)))
    assert {(type(event), event.symbol) for event in events} >= {(Gap, "BTC-USD")}
    assert all(isinstance(event, Gap) for event in events)
    assert not parser.instruments["BTC-USD"].live
    assert len(letters) == (change[1] != b'"chicksum"')  # a wrong checksum is no unreadable frame


@pytest.mark.parametrize(
    "payload", [b"\xff", b"", b"{}", b"[]", b"null", DEEP, b'{"x":' + DEEP + b"}", b'{"a":"\xb8"}']
)
def test_junk_is_a_dead_letter_at_every_venue(payload: bytes) -> None:
    for parser, letters in (live_kraken(), coinbase(), bitstamp()):
        parser.parse(frame(payload))
        assert len(letters) == 1
        assert parser.counts.rejected == 1


@pytest.mark.parametrize(
    ("make", "payload", "reason"),
    [
        (
            live_kraken,
            b'{"error":"Currency pair not supported BTC/USD","method":"subscribe","success":false,"symbol":"BTC/USD"}',
            "Kraken refuses: Currency pair not supported BTC/USD",
        ),
        (coinbase, b'{"type":"error","message":"no BTC-USD for you"}', "Coinbase refuses: no BTC-USD for you"),
        (
            bitstamp,
            b'{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad btcusd"}}',
            "Bitstamp refuses: Bad btcusd",
        ),
    ],
)
def test_a_refusal_is_said_and_takes_no_book(make: Make, payload: bytes, reason: str) -> None:
    parser, letters = make()
    assert parser.parse(frame(payload)) == []
    assert [letter.reason for letter in letters] == [reason]
    assert parser.instruments["BTC-USD"].live


def test_an_event_of_the_future_is_refused_before_it_stops_the_clocks() -> None:
    parser, letters = bitstamp()
    ahead = MICROS + 61_000_000
    data = f'{{"microtimestamp":"{ahead}","bids":[],"asks":[]}}'
    text = f'{{"event":"data","channel":"diff_order_book_btcusd","data":{data}}}'
    (gap,) = parser.parse(frame(text.encode()))
    assert isinstance(gap, Gap)
    assert letters[0].reason == "an event 61 s after its arrival: a corrupt time, or this machine's clock is wrong"
    forties = text.replace(str(ahead), "9" * 40)
    assert parser.parse(frame(forties.encode(), 5)) == []  # also on a tape without a clock
    assert letters[1].reason.startswith("not a time: 9999")


def test_a_trade_at_an_endless_price_is_refused() -> None:
    parser, letters = bitstamp()
    data = f'{{"microtimestamp":"{MICROS}","id":1,"price_str":"inf","amount_str":"1","type":0}}'
    events = parser.parse(frame(f'{{"event":"trade","channel":"live_trades_btcusd","data":{data}}}'.encode()))
    assert not any(isinstance(event, Trade) for event in events)
    assert len(letters) == 1


def test_bitstamp_a_book_older_than_a_loss_is_refused_and_other_pairs_keep_what_they_have() -> None:
    parser, _ = bitstamp()

    def diff(pair: str, at_s: int) -> Frame:
        data = f'{{"microtimestamp":"{MICROS + at_s * 10**6}","bids":[],"asks":[]}}'
        text = f'{{"event":"data","channel":"diff_order_book_{pair}","data":{data}}}'
        return frame(text.encode(), NOW + at_s * 10**9)

    def book(pair: str, at_s: int) -> Frame:
        body = f'{{"microtimestamp":"{MICROS + at_s * 10**6}","bids":[["1","1"]],"asks":[["2","1"]]}}'.encode()
        return Frame("v", "c", "rest", NOW + at_s * 10**9, body, f"https://x/order_book/{pair}/")

    parser.parse(diff("ethusd", 1))
    parser.parse(diff("ethusd", 2))
    assert [type(one) for one in parser.parse(frame(b'{"btcusd":', NOW + 3 * 10**9))] == [Gap]
    assert parser.parse(book("btcusd", 2)) == []
    assert [type(one) for one in parser.parse(book("ethusd", 1))] == [BookSnapshot, BookDelta]
    assert [type(one) for one in parser.parse(book("btcusd", 4))] == [BookSnapshot]


@pytest.mark.parametrize(
    "content",
    [
        b"CBCAP1 kraken BTC/USD x\n",
        b"CBCAP1 \xff BTC/USD 1\n",
        b"CBCAP1 kraken BTC/USD 1790000000000000000\n1790000000000000000 -5\nhello\n",
        b"CBCAP1 kraken BTC/USD 1790000000000000000\n1790000000000000000 99999999999999999999\nhello\n",
        b"CBCAP1 kraken BTC/USD 1790000000000000000\n9" + b"9" * 40 + b" 2\n{}\n",
        gzip.compress(b"CBCAP1 kraken BTC/USD 1790000000000000000\n1790000000000000000 2\n{}\n" * 50, mtime=0)[:-20],
        b'{"t": "header"}\n{"t": "recv", "ts": 1e999999999, "conn": "KRAKEN.ws.1", "data": "{}"}\n',
        b'{"t": "header"}\n{"t": "recv", "ts": "Infinity", "conn": "KRAKEN.ws.1", "data": "{}"}\n',
        b"1" * 5000 + b".5: {}\n",
        b'{"venue":"kraken","recorded_wall_unix_nanos":99999999999999999999,"payload":"{"}\n',
    ],
)
def test_a_hostile_tape_is_refused_or_dead_lettered(tmp_path: Path, content: bytes) -> None:
    path, letters = tmp_path / "kraken.tape", list[DeadLetter]()
    path.write_bytes(content)
    why = []
    try:
        list(read_frames(path, reject=letters.append))
    except InputError as error:
        why = [str(error)]
    assert all(text.startswith(str(path)) for text in (why or [letter.source for letter in letters]))
    assert why or letters


@pytest.mark.parametrize("damage", ["torn", "junk"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "kraken.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "time,price\n2020-01-01,5\n")
    path.write_bytes(path.read_bytes()[:-30] if damage == "torn" else b"PK\x03\x04junk")
    with pytest.raises(InputError, match="damaged archive"):
        CsvFile(path)


@pytest.mark.parametrize(
    "text",
    [
        "time,price\n3000-01-01,7\n",
        "time,price\n2020-01-01 00:00+99:99,7\n",
        "a,b\nx,y\n",
        "time,price\nJan,7\n",
        "time,price\n10:00,7\n",
        "time,price\n²,7\n",
        '"' + "x" * 200_000 + '",1\n',
        "time,price\n2020-01-01\n1,2,3,4\n",
    ],
)
def test_a_hostile_csv_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.csv"):
        list(CsvFile(path).prices(lambda _: None))


def test_a_refused_row_is_counted_once_and_carries_the_time_of_the_row_before(tmp_path: Path) -> None:
    path, letters = tmp_path / "x.csv", list[DeadLetter]()
    path.write_text("time,price\n2020-01-01,5\n2020-01-02,x\n9999-12-31,6\n2020-01-03,7\n")
    file = CsvFile(path)
    assert file.interval_ns == 2 * 86_400 * 10**9
    prices = list(file.prices(letters.append))
    assert [(price.seq, price.price) for price in prices] == [(1, 5.0), (2, 7.0)]
    assert file.counts.rejected == 2
    assert [(letter.source, letter.ts_recv_ns) for letter in letters] == [
        (f"{path}:3", 1_577_836_800 * 10**9 + 86_400 * 10**9),
        (f"{path}:4", 1_577_836_800 * 10**9 + 86_400 * 10**9),
    ]
