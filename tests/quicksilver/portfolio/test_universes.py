"""Universes as their users write them, and several at once: changed between two events, saved and loaded anywhere."""

import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from quicksilver.config import PipelineConfig
from quicksilver.errors import InputError, StateError
from quicksilver.events import SECOND_NS
from quicksilver.portfolio.config import PortfolioConfig
from quicksilver.portfolio.constraints import Constraints, Feasible, Group
from quicksilver.portfolio.costs import Costs
from quicksilver.portfolio.running import ANEW, ENDED, RunningUniverses
from quicksilver.portfolio.stage import PortfolioStage
from quicksilver.portfolio.universes import read_universes
from quicksilver.records import Frontier
from tests.quicksilver.portfolio.ticks import good, seconds
from tests.quicksilver.portfolio.ticks import play as play_all

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "universes.toml"
FILE = b"""
[universes.daily]
period = "1d"
halflife = "36h"
window = "90d"
min_observations = 10
risk = "cvar"

[universes.majors]
assets = ["BTC-USD", "ETH-USD", "SOL-USD"]
venues = ["kraken"]
halflife = 120
hold = "1h"

[universes.majors.constraints]
cap = 0.5
floors = {BTC-USD = 0.1}

[universes.majors.constraints.groups.large]
assets = ["BTC-USD", "ETH-USD"]
cap = 0.8

[universes.majors.costs]
fee_bps = 2
"""


def test_a_file_says_all_that_a_universe_is() -> None:
    assert read_universes(FILE, "u.toml") == (
        PortfolioConfig(
            "daily", period_ns=86_400 * SECOND_NS, halflife=1.5, window=90, min_observations=10, risk="cvar"
        ),
        PortfolioConfig(
            "majors", ("BTC-USD", "ETH-USD", "SOL-USD"), ("kraken",), halflife=120.0, hold=3600,
            constraints=Constraints(
                cap=0.5, floors={"BTC-USD": 0.1}, groups={"large": Group(("BTC-USD", "ETH-USD"), cap=0.8)}
            ),
            costs=Costs(fee_bps=2.0),
        ),
    )  # fmt: skip


TOLD = re.compile(r"^# (\w+) = (.+?)(?:  +#.*)?$", re.M)
TITLE = re.compile(r"^\[universes\.(.+?)\]", re.M)


def tables(text: str) -> dict[str, str]:
    """Return the text of each table by its name."""
    _, *parts = TITLE.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_example_tells_each_default_as_it_is() -> None:
    """Value by value, not by what comes of it: of 1s "10m" and 600 come to the same, of other periods they do not."""
    config = PortfolioConfig()
    defaults: dict[str, msgspec.Struct] = {
        "all": config,
        "careful": config,
        "careful.constraints": config.constraints,
        "careful.constraints.groups.small": Group(()),
        "careful.costs": config.costs,
    }
    of_table = tables(EXAMPLE.read_text())
    assert of_table.keys() == defaults.keys()
    told = {
        (name, field): msgspec.toml.decode(f"{field} = {value}")[field]
        for name, text in of_table.items()
        for field, value in TOLD.findall(text)
    }
    real = msgspec.json.decode(msgspec.json.encode(defaults))
    assert told == {(name, field): real[name][field] for name, field in told}
    assert len(told) > 15
    assert f"unless given, {config.halflife:g} periods" in of_table["all"]


def test_the_example_names_each_field() -> None:
    text = EXAMPLE.read_text()
    fast, careful = read_universes(text.encode(), str(EXAMPLE))
    assert fast == PortfolioConfig("all", halflife=120.0)
    assert careful.universe == "careful"
    named = {
        name: set(re.findall(r"^(?:# )?(?:such as: )?(\w+) = ", part, re.M)) for name, part in tables(text).items()
    }
    assert named["all"] == {"period", *PortfolioConfig.__struct_fields__} - {
        "universe", "period_ns", "constraints", "costs"
    }  # fmt: skip
    assert named["careful.constraints"] == {*Constraints.__struct_fields__} - {"groups"}
    assert named["careful.constraints.groups.small"] == {*Group.__struct_fields__}
    assert named["careful.costs"] == {*Costs.__struct_fields__}


def test_what_the_example_holds_may_be_held() -> None:
    careful = read_universes(EXAMPLE.read_bytes(), str(EXAMPLE))[1]
    feasible = Feasible.of(careful.constraints, careful.assets)
    assert feasible.violation(feasible.current) <= 1e-9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"[universes.daily]", b"[universes.daily"), "u.toml: Expected ']' at the end of a table declaration"),
        ((FILE, b""), "there is no universe in it: add a table [universes.NAME]"),
        ((FILE, b"[universes]"), "there is no universe in it: add a table [universes.NAME]"),
        ((b"[universes.daily]", b"[universe.daily]"), "unknown field `universe`"),
        ((b"[universes.daily]", b"\xff"), "invalid start byte"),
        ((b"[universes.daily]", b'[universes."../daily"]'), "[universes.../daily]: '../daily' is no name"),
        ((b"[universes.daily]", b"[universes.majors]"), "Cannot declare ('universes', 'majors') twice"),
        ((b"cap = 0.5", b"most = 0.5"), "[universes.majors]: Object contains unknown field `most` - at `constraints`"),
        ((b"fee_bps = 2", b"fee_bps = -2"), "[universes.majors]: costs: fee_bps = -2: give 0 or more"),
        ((b"fee_bps = 2", b'fee_bps = "2"'), "Expected `float`, got `str` - at `costs.fee_bps`"),
        ((b'risk = "cvar"', b'risk = "var"'), "[universes.daily]: Invalid enum value 'var' - at `risk`"),
        ((b'period = "1d"', b'period = "1 day"'), "[universes.daily]: '1 day' is no span of time: write 250ms, 5s"),
        ((b'period = "1d"', b"period = 86400"), 'period = 86400: write a span of time, such as "1s"'),
        ((b'period = "1d"', b"period_ns = 86400"), 'there is no field period_ns: write period = "1s"'),
        ((b'hold = "1h"', b'period = "367d"'), "a period of 3.17088e+07 s: give one of 1ms to 366d"),
        ((b'risk = "cvar"', b'universe = "x"'), "there is no field universe: it is the table's name"),
        ((b'window = "90d"', b'window = "1h"'), 'window = "1h" is shorter than a period'),
        ((b'window = "90d"', b"window = 1"), "window = 1: give 2 to 1e+06"),
        ((b'window = "90d"', b"leave = 0"), "leave = 0: give 1 to 1e+09, or leave it out"),
        ((b'window = "90d"', b"leave = -1"), "leave = -1: give 1 to 1e+09"),
        ((b'window = "90d"', b"window = 2001"), "window = 2001 and risk = cvar: it is solved by all of these returns"),
        ((b'window = "90d"', b"n_portfolios = 1_000_001"), "n_portfolios = 1000001: give 1 to 1e+06"),
        ((b'hold = "1h"', b"window = 1_000_000\nresamples = 10_000"), "2e+07 returns fit into memory, so give less"),
        ((b'window = "90d"', b"seed = 1" + b"0" * 400), f"seed = 1{'0' * 39}...: give 0 to"),
        ((b'halflife = "36h"', b"halflife = nan"), "halflife = nan: give 0.1 to 1e+09"),
        ((b'halflife = "36h"', b"aversion = -1"), "aversion = -1: give 1e-09 to 1e+09"),
        ((b'halflife = "36h"', b"resamples = 0.5"), "Expected `int`, got `float` - at `resamples`"),
        ((b'halflife = "36h"', b'assets = ["BTC-USD"]'), "BTC-USD alone is no portfolio"),
        ((b'"SOL-USD"]', b'"BTC-USD"]'), "asset BTC-USD is named twice"),
        ((b'"SOL-USD"]', b'" SOL"]'), "' SOL' is no asset: write BASE-QUOTE"),
        ((b"cap = 0.5", b"cap = 0.3"), "no portfolio of 3 assets keeps all of these: budget 1, "),
        ((b"{BTC-USD = 0.1}", b"{BTC-USD = 0.6}"), "the floor 0.6 of BTC-USD is above its cap 0.5"),
        ((b"{BTC-USD = 0.1}", b"{ADA-USD = 0.1}"), "floors: there is no asset 'ADA-USD'; there are BTC-USD"),
        ((b'risk = "cvar"', b"constraints = {floors = {A = nan}}"), "floor of A nan is no share of the money"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_with_file_and_table(change: tuple[bytes, bytes], said: str) -> None:
    with pytest.raises(InputError) as error:
        read_universes(FILE.replace(*change), "u.toml")
    assert str(error.value).startswith("u.toml: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("period", "hold", "leave"), [("250ms", 14_400, 240), ("1s", 3600, 60), ("5m", 30, 3), ("1h", 30, 3), ("1d", 30, 3)]
)
def test_how_long_is_held_and_waited_for_unless_told_is_time_and_some_periods_at_least(
    period: str, hold: int, leave: int
) -> None:
    (found,) = read_universes(f'[universes.slow]\nperiod = "{period}"'.encode(), "u.toml")
    assert (found.hold, found.leave) == (hold, leave)
    (told,) = read_universes(f'[universes.slow]\nperiod = "{period}"\nhold = 7\nleave = 8'.encode(), "u.toml")
    assert (told.hold, told.leave) == (7, 8)
    assert msgspec.json.decode(msgspec.json.encode(found), type=PortfolioConfig) == found
    if period == "1d":
        assert PipelineConfig.for_rows(found.period_ns).portfolios[0].hold == hold


def test_an_asset_without_a_price_holds_a_daily_universe_for_three_days_not_sixty() -> None:
    day = 86_400 * SECOND_NS
    config = PortfolioConfig(period_ns=day, min_observations=5, n_portfolios=300, n_cloud=20)
    rows = [(v, s, p, 100 * day + (ts - 1_000 * SECOND_NS) * 86_400) for v, s, p, ts in seconds(40, ["A", "B", "C"])]
    stage = PortfolioStage(config)
    told = good(play_all(stage, [one for one in rows if one[3] < 120 * day]))
    stage.forget("v", "C")
    later = play_all(stage, [one for one in rows if one[3] >= 120 * day and one[1] != "C"])
    assert told[-1].assets == ["A", "B", "C"]
    assert later[0].state == "WAITING"
    assert "until it is back or, after 3 d, out" in later[0].reason
    assert good(later)[0].ts_event_ns == 123 * day
    assert good(later)[0].assets == ["A", "B"]


def test_of_price_series_those_universes_are_computed_whose_periods_are_of_whole_rows() -> None:
    minute = 60 * SECOND_NS
    fast, slow, odd = (PortfolioConfig(f"every {n}", period_ns=n * SECOND_NS) for n in (1, 300, 90))
    assert PipelineConfig().of_universes([fast, slow]).portfolios == (fast, slow)
    rows = PipelineConfig.for_rows(minute)
    assert rows.of_universes([fast, slow, odd]) == replace(rows, portfolios=(slow,))
    with pytest.raises(InputError, match=r"the rows are 60 s apart, and no .* \(every 1 1 s, every 90 90 s\)"):
        rows.of_universes([fast, odd])


# Several at once.

CALM = PortfolioConfig("calm", min_observations=5, n_portfolios=300, n_cloud=20)
BOLD = replace(CALM, universe="bold", aversion=1.0, period_ns=2 * SECOND_NS, halflife=20.0)
Rows = list[tuple[str, str, float, int]]


def prices(n: int, first: int = 0) -> Rows:
    return [
        ("sim", symbol, 100.0 + (i * k) % 11, i * SECOND_NS)
        for i in range(first, first + n)
        for k, symbol in ((3, "A-USD"), (5, "B-USD"), (7, "C-USD"))
    ]


def play(running: RunningUniverses | PortfolioStage, rows: Rows) -> list[bytes]:
    return [
        msgspec.json.encode(one)
        for venue, symbol, price, ts_ns in rows
        for one in running.on_price(venue, symbol, price, ts_ns, ts_ns + 1)
    ]


def of(found: list[bytes], name: str) -> list[bytes]:
    return [one for one in found if one.startswith(b'{"universe":"%s"' % name.encode())]


def test_each_gives_what_it_gives_alone_in_the_order_of_the_file() -> None:
    found = play(RunningUniverses([BOLD, CALM]), prices(60, 2))
    for config in (BOLD, CALM):
        alone = play(PortfolioStage(config), prices(60, 2))
        assert of(found, config.universe) == alone
        assert len(alone) > 20
    both = [msgspec.json.decode(one)["universe"] for one in found[-3:]]
    assert both in (["bold", "calm", "calm"], ["calm", "bold", "calm"])
    with pytest.raises(ValueError, match="the same name"):
        RunningUniverses([CALM, CALM])


def test_a_universe_begins_and_ends_and_the_others_do_not_notice() -> None:
    running, rows = RunningUniverses([CALM]), prices(100, 2)
    found = play(running, rows[:90])
    assert running.adopt((CALM, BOLD)) == []
    found += play(running, rows[90:200])
    last = msgspec.json.decode(of(found, "bold")[-1], type=Frontier)
    (word,) = running.adopt((CALM,))
    assert word == replace(
        last, seq=last.seq + 1, ts_event_ns=rows[199][3], ts_recv_ns=rows[199][3] + 1, state="WAITING", reason=ENDED,
        ts_computed_ns=last.ts_event_ns,
    )  # fmt: skip
    assert running.adopt((CALM,)) == []  # said once
    found += play(running, rows[200:])
    assert of(found, "calm") == play(PortfolioStage(CALM), rows)
    assert of(found, "bold") == play(PortfolioStage(BOLD), rows[90:200])


def test_one_that_has_said_nothing_ends_without_a_word_and_one_that_waits_with_one() -> None:
    assert RunningUniverses([CALM]).adopt((BOLD,)) == []
    running = RunningUniverses([CALM])
    play(running, prices(3))
    (word,) = running.adopt((BOLD,))
    assert (word.state, word.reason, word.picks) == ("WAITING", ENDED, {})


def test_what_chooses_portfolios_may_change_and_the_moments_stay() -> None:
    rows, running = prices(60, 2), RunningUniverses([CALM])
    before = play(running, rows[:90])
    changed = replace(CALM, constraints=Constraints(cap=0.6), costs=Costs(fee_bps=1.0), aversion=2.0, n_frontier=7)
    assert running.adopt((changed,)) == []
    after = play(running, rows[90:])
    seen = [n for one in before + after if (n := msgspec.json.decode(one)["n_observations"])]
    assert seen == list(range(seen[0], seen[0] + len(before + after) - 2))  # the first two say that it waits
    assert [len(msgspec.json.decode(one)["frontier"]) for one in after] != [
        len(msgspec.json.decode(one)["frontier"]) for one in play(PortfolioStage(CALM), rows)[len(before) :]
    ]


@pytest.mark.parametrize(
    "change", [{"halflife": 7.0}, {"period_ns": 3 * SECOND_NS}, {"assets": ("A-USD", "B-USD")}, {"mean": "james-stein"}]
)
def test_one_that_looks_at_something_else_starts_anew(change: dict[str, object]) -> None:
    rows, running, changed = prices(60, 2), RunningUniverses([CALM]), replace(CALM, **change)
    play(running, rows[:90])
    (word,) = running.adopt((changed,))
    assert (word.universe, word.state, word.reason) == ("calm", "WAITING", ANEW)
    assert play(running, rows[90:]) == play(PortfolioStage(changed), rows[90:])


def test_saved_and_loaded_anywhere_they_go_on_as_if_they_had_not_been() -> None:
    rows, whole, parts = prices(50, 2), RunningUniverses([CALM, BOLD]), RunningUniverses([CALM, BOLD])
    for cut in range(0, len(rows), 10):
        assert play(parts, rows[cut : cut + 10]) == play(whole, rows[cut : cut + 10])
        state = parts.dump()
        parts = RunningUniverses.loaded(state)
        assert parts.dump() == state
    assert parts.adopt(()) == whole.adopt(()) != []
    with pytest.raises(StateError, match="not a saved state of universes"):
        RunningUniverses.loaded(b"junk")
