"""The large frontier on a real Spark, from files, into a real Kafka; what cannot be used is refused in a sentence."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import typer
from confluent_kafka import Consumer
from typer.testing import CliRunner

from jobs.frontier_command import frontier
from jobs.history import aligned, from_files
from jobs.spark import code_zip
from producers.exchanges.base import ignore
from quicksilver import codec
from quicksilver.errors import InputError
from quicksilver.records import Frontier
from setup.jars import fetch
from setup.kafka.service import kafka
from setup.kafka.topics import apply_topics
from setup.stack import Stack
from tests.jobs.one_java import OneJava
from tests.ports import cluster_settings
from tests.tools import needs_tools

ROOT = Path(__file__).resolve().parents[2]
DAY_NS = 86_400_000_000_000
app = typer.Typer()
app.command()(frontier)

needs_java = needs_tools("java")


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    table = 100 * np.exp(rng.normal(0.001, 0.02, (120, 4)).cumsum(axis=0))
    days = (np.datetime64("2021-01-01") + np.arange(120)).astype(str)
    lines = ["date,BTC,ETH,SOL,XRP"]
    lines += [",".join([day, *map(repr, row)]) for day, row in zip(days, table.tolist(), strict=True)]
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def job(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, whose Java ends with it."""
    return subprocess.run(
        [sys.executable, "-m", "jobs.spark_frontier", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=200,
    )  # fmt: skip


@needs_java
@pytest.mark.timeout(400)
def test_the_bytes_are_the_same_on_any_number_of_partitions_and_cores(
    prices: Path, tmp_path: Path, one_java: OneJava
) -> None:
    found = []
    for cores, partitions in ((1, 1), (2, 7)):
        out = tmp_path / f"{partitions}.json"
        done = one_java.run(
            "frontier", prices, "--portfolios", 2e6 - 1, "--master", f"local[{cores}]", "--partitions", partitions,
            "--out", out,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        summary = msgspec.json.decode(done.stdout.splitlines()[-1])
        assert (summary["portfolios"], summary["cores"], summary["seed"]) == (1_999_999, cores, 7)
        found.append(out.read_bytes())
    assert found[0] == found[1]
    record = codec.decode(Frontier, found[0])
    assert record.assets == ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"]
    assert (record.n_portfolios, record.n_observations) == (1_999_999, 119)
    assert summary["picks"]["min_variance"]["risk"] * 1e4 == pytest.approx(record.picks["min_variance"].risk_bps)


SHARED_OUT = """
import hashlib, sys
from threadpoolctl import threadpool_limits
from jobs.history import from_files
from jobs.spark import session
from jobs.spark_frontier import Work, done_on
from pathlib import Path
from quicksilver.portfolio.constraints import Constraints, Group
from quicksilver.portfolio.inside import merge_winners
from quicksilver.portfolio.research import Question, Research

def digest(found):
    return hashlib.sha256(b"".join(one.tobytes() for one in found)).hexdigest()

history = from_files([Path(sys.argv[1])], print)
group = {"two": Group(("BTC", "ETH"), None, 0.6)}
held = {"BTC": 0.5, "SOL": 0.5}
asked = [
    Question(constraints=Constraints(cap=0.5, floor=-0.1, groups=group), cash=1e-4, quasi=True),
    Question(constraints=Constraints(turnover=1.0, current=held, budget=0.9), risk="cvar"),
    Question(constraints=Constraints(most_assets=2), risk="max-drawdown"),
]
with session("test", "local[2]") as spark, threadpool_limits(1):
    for question in asked:
        inside = Research(history, question).inside(180_000)
        work = Work(180_000, inside.n_chunks, inside.reduce, merge_winners)
        print(digest(work.here()), *(digest(done_on(spark, work, n)) for n in (1, 8, None)))
    print(*spark.sparkContext.range(1).flatMap(lambda _: sys.path).collect())
"""


@needs_java
@pytest.mark.timeout(400)
def test_inside_of_constraints_the_bytes_are_those_of_one_process(prices: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHARED_OUT, prices], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *digests, path = [line.split() for line in done.stdout.splitlines()]
    assert [(len(one), len(set(one))) for one in digests] == [(4, 1)] * 3
    assert len({one[0] for one in digests}) == 3
    assert str(ROOT) in path
    assert not [entry for entry in path if entry.endswith((".jar", ".zip"))], "read anew before each task"


@needs_java
@pytest.mark.timeout(600)
def test_the_command_draws_inside_of_constraints_on_spark(prices: Path, one_java: OneJava) -> None:
    options = ("--cap", 0.5, "--floor", -0.1, "--group", "two:BTC,ETH<=0.6", "--portfolios", 50_000, "--json")
    there = one_java.run("frontier", prices, *options, "--master", "local[2]", "--partitions", 3)
    here = job(prices, *options)
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout
    drawn = msgspec.json.decode(there.stdout)
    for one in [*drawn["best_drawn"].values(), *drawn["frontier"]]:
        weights = np.array([one["weights"][name] for name in drawn["assets"]])
        assert abs(weights.sum() - 1.0) <= 1e-9
        assert weights.min() >= -0.1 - 1e-9
        assert weights.max() <= 0.5 + 1e-9
        assert weights[:2].sum() <= 0.6 + 1e-9


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[str]:
    settings = cluster_settings(tmp_path / "cluster")
    stack = Stack(settings, [kafka(settings, fetch("kafka", settings.jars, print))])
    try:
        stack.up(print)
        apply_topics(settings.kafka_servers, print)
        yield settings.kafka_servers
    finally:
        stack.down(print)


@needs_tools("java", "mvn")
@pytest.mark.timeout(400)
def test_published_twice_it_is_the_same_message_with_its_headers(
    prices: Path, servers: str, tmp_path: Path, one_java: OneJava
) -> None:
    out = tmp_path / "record.json"
    options = ["--portfolios", 1e5, "--universe", "four", "--publish", "--out", out]
    for master in (["--master", "local[1]"], []):  # on Spark and in the command's process
        done = one_java.run("frontier", prices, *options, *master, environment={"KAFKA_SERVERS": servers})
        assert done.returncode == 0, done.stderr
    reader = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"})
    reader.subscribe(["frontiers"])
    first, second = reader.consume(2, timeout=60)
    reader.close()
    assert (first.key(), first.value(), first.headers()) == (second.key(), second.value(), second.headers())
    assert first.key() == b"four"
    value = first.value()
    assert value is not None
    session = hashlib.sha256(value).hexdigest()[:16].encode()
    assert first.headers() == [("v", b"1"), ("s", session), ("n", b"1")]
    assert value == out.read_bytes().strip()
    assert codec.decode(Frontier, value).universe == "four"


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def test_what_cannot_be_used_is_refused_in_a_sentence(
    prices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nowhere.csv" in refused("nowhere.csv")
    assert "--portfolios 0.5 is no whole number" in refused(prices, "--portfolios", "0.5")
    assert "--portfolios nan is no whole number" in refused(prices, "--portfolios", "nan")
    assert "--portfolios inf is no whole number" in refused(prices, "--portfolios", "inf")
    assert "--period 0 is no number of seconds" in refused(prices, "--period", "0")
    assert "the seed must be 0 or more, not -1" in refused(prices, "--seed", "-1")
    lines = prices.read_text().splitlines()
    short, single = tmp_path / "short.csv", tmp_path / "single.csv"
    short.write_text("\n".join(lines[:20]) + "\n")
    single.write_text("\n".join(",".join(line.split(",")[:2]) for line in lines) + "\n")
    assert "31 are needed" in refused(short)
    assert "two assets or more" in refused(single)
    monkeypatch.setenv("KAFKA_SERVERS", "127.0.0.1:1")
    assert "Kafka at 127.0.0.1:1 does not answer" in refused(prices, "--publish")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Java 17 is needed" in refused(prices, "--master", "local[1]")


@needs_java
def test_a_master_that_is_none_is_refused_in_a_sentence(prices: Path) -> None:
    done = job(prices, "--master", "nonsense")
    assert done.returncode == 2
    assert "error: Spark cannot be started at nonsense: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_core_runs_out_of_the_zip_that_workers_get(tmp_path: Path) -> None:
    code = (
        "import numpy as np, quicksilver\n"
        "from quicksilver.portfolio.large import Sweep, reduce_chunks\n"
        "assert '.zip' in quicksilver.__file__\n"
        "mean, root = np.zeros(2, np.float32), np.eye(2, dtype=np.float32)\n"
        "print(reduce_chunks(Sweep(1000, 7, mean, root, 0.5, 1.0, 4), [0]).number[-2])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(code_zip(tmp_path)), "HOME": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert int(done.stdout) in range(1000)


def write(path: Path, symbol: str, rows: dict[str, float]) -> Path:
    path.write_text("time,symbol,close\n" + "".join(f"{day},{symbol},{price}\n" for day, price in rows.items()))
    return path


def days(count: int, hour: str = "00:00:00", start: str = "2021-01-01") -> dict[str, float]:
    moments = (np.datetime64(start) + np.arange(count)).astype(str)
    return {f"{day} {hour}": 100.0 + i for i, day in enumerate(moments)}


def test_only_moments_with_a_price_of_every_asset_count(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.csv", "BTC", days(50)),
        write(tmp_path / "b.csv", "ETH", days(50, start="2021-01-11")),
    ]
    history = from_files(files, ignore)
    assert history.assets == ["BTC-USD", "ETH-USD"]
    assert history.prices.tolist() == [[110.0 + i, 100.0 + i] for i in range(40)]
    assert (np.diff(history.times_ns) == DAY_NS).all()


def test_a_period_brings_series_together_whose_times_never_agree(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.csv", "BTC", days(40)),
        write(tmp_path / "b.csv", "ETH", days(40, "23:59:59")),
    ]
    assert len(from_files(files, ignore).times_ns) == 0
    sampled = from_files(files, ignore, period_ns=DAY_NS)
    assert sampled.prices.tolist() == [[100.0 + i, 100.0 + i] for i in range(40)]
    assert sampled.times_ns[0] == int(np.datetime64("2021-01-02").astype("datetime64[ns]").astype(np.int64))


def test_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "BTC", days(40))
    rest = write(tmp_path / "b.csv", "BTC", {"2021-02-09 00:00:00": 139.0, "2021-02-10 00:00:00": 140.0})
    assert len(from_files([first, rest], ignore).times_ns) == 41
    other = write(tmp_path / "c.csv", "BTC", {"2021-02-09 00:00:00": 7.0, "2021-02-10 00:00:00": 140.0})
    with pytest.raises(InputError, match=r"c.csv: BTC-USD has another price at the same time"):
        from_files([first, other], ignore)


def test_no_series_is_no_history() -> None:
    assert aligned({}).assets == []


def test_real_files_of_one_coin_each_and_of_many_stocks(tapes: Path) -> None:
    coins = from_files(sorted((tapes / "candles-cmc-daily").glob("coin_[BEL]*.csv")), ignore)
    assert len(coins.assets) > 2
    assert len(coins.times_ns) > 300
    stocks = from_files([tapes / "stocks" / "pyportfolioopt_stock_prices.csv"], ignore)
    assert len(stocks.assets) == 20
    assert np.isfinite(stocks.prices).all()
