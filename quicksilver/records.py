"""What jobs emit: each record is a row of the table of its topic (see ``topics.py`` and ``tables.py``).

Times are integer nanoseconds since 1970 UTC, prices in the quote currency, sizes in the base currency. A value that
is not known (not warm yet, one-sided book) is ``None``. ``seq`` is that of the event which caused the record, so a
replay gives the same record under the same key.
"""

from typing import Literal, TypeAlias

import msgspec

from quicksilver.events import Trade
from quicksilver.portfolio.constraints import Constraints
from quicksilver.portfolio.costs import Costs

DataState: TypeAlias = Literal["SYNCING", "LIVE", "GAP", "STALE"]
FrontierState: TypeAlias = Literal["LIVE", "WAITING"]
Direction: TypeAlias = Literal[-1, 0, 1]
Role: TypeAlias = Literal["online", "live", "shadow"]
"""Of a model: it learns as it goes; it was trained, and decides; it was trained, and is but scored."""


class Record(msgspec.Struct, frozen=True):
    """What every record of one instrument carries."""

    venue: str
    symbol: str
    seq: int
    ts_event_ns: int
    ts_recv_ns: int


class TopLevel(msgspec.Struct, frozen=True, array_like=True):
    """One level of a top: ``[price, size, cumulative size, order count]``; the count is None on price-level feeds."""

    price: float
    size: float
    cum_size: float
    count: int | None = None


class BookTop(Record, frozen=True):
    """The best N levels a side, best first, and the mid-price moves since the last top.

    ``*_notional`` is the size-weighted quote amount that stood at the best level when the mid moved.
    """

    bids: list[TopLevel]
    asks: list[TopLevel]
    upticks: int
    downticks: int
    uptick_notional: float
    downtick_notional: float


class FullBook(Record, frozen=True):
    """The whole book, best level first, and the mid-price moves since the last full book; on demand, N times a second.

    Of each side it holds the best ``PipelineConfig.full_book_levels`` levels (5,000 unless set otherwise: half a
    megabyte of JSON, for neither Kafka nor Cassandra takes any size); ``n_bids`` and ``n_asks`` say how many the book
    has.
    """

    bids: list[TopLevel]
    asks: list[TopLevel]
    n_bids: int
    n_asks: int
    upticks: int
    downticks: int
    uptick_notional: float
    downtick_notional: float


class Candle(Record, frozen=True):
    """Open, high, low, close of one interval; rewritten under the same ``ts_open_ns`` until ``closed``.

    ``source`` says what the prices are: trades, the book's mid where the feed has no trades, or CSV prices.
    """

    ts_open_ns: int
    interval_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    buy_volume: float
    trades: int
    source: Literal["trade", "mid", "price"]
    closed: bool


class Features(Record, frozen=True):
    """One feature vector, computed on a book update or price tick; formulas and units in ``features.py``."""

    mid: float | None
    spread_bps: float | None
    microprice: float | None
    imbalance_1: float | None
    imbalance_5: float | None
    imbalance_10: float | None
    ofi_1s: float | None
    ofi_10s: float | None
    depth_slope_bid: float | None
    depth_slope_ask: float | None
    trade_imbalance_10s: float | None
    volume_10s: float | None
    volume_60s: float | None
    vpin: float | None
    upticks: float | None
    downticks: float | None
    uptick_notional: float | None
    downtick_notional: float | None
    return_1s_bps: float | None
    return_10s_bps: float | None
    return_60s_bps: float | None
    volatility_10s_bps: float | None
    volatility_60s_bps: float | None
    volatility_300s_bps: float | None
    rsi_14: float | None
    macd_bps: float | None
    macd_signal_bps: float | None
    momentum_bps: float | None


class Label(Record, frozen=True):
    """What became of the price ``horizon_ns`` after the features of the same ``seq``; released when known.

    ``return_bps`` is the log return of the mid in basis points; ``direction`` is 0 within the threshold that covers
    fees.
    """

    horizon_ns: int
    ts_known_ns: int
    price_then: float
    price_later: float
    return_bps: float
    direction: Direction


class Prediction(Record, frozen=True):
    """A model's probabilities for the label of the features of the same ``seq``.

    ``confidence`` is the probability of ``direction``. Where ``flag`` says what is wrong with the inputs, nothing was
    predicted from them: the probabilities are the frequencies in training, the direction 0 with a confidence of 0, and
    no score follows. ``move_bps`` is the move that was predicted, of a model that predicts one. ``role`` is online in
    rows from before there were roles.
    """

    horizon_ns: int
    model: str
    version: str
    p_down: float
    p_flat: float
    p_up: float
    direction: Direction
    confidence: float
    role: Role = "online"
    flag: str = ""
    move_bps: float | None = None


class Score(Record, frozen=True):
    """A prediction's outcome, and the model's running prequential score beside the always-majority baseline.

    ``seq`` is the scored prediction's. Log-losses are in nats; lower is better. The score was taken before the model
    learned from this label. ``brier`` is the mean Brier score of the three classes, 0 to 2, lower is better;
    ``profit_bps`` the mean profit of a prediction in basis points, from mid to mid and without latency, less its costs:
    one that is not flat pays the fee twice, and the spread as it was then, half on either way (a series of prices has
    none).
    ``flagged`` counts the predictions until then that were none, and are in no mean. Brier score and profit are unknown
    in rows from before they were kept.
    """

    horizon_ns: int
    model: str
    version: str
    ts_known_ns: int
    predicted: Direction
    outcome: Direction
    n: int
    accuracy: float
    log_loss: float
    baseline_accuracy: float
    baseline_log_loss: float
    role: Role = "online"
    brier: float | None = None
    profit_bps: float | None = None
    flagged: int = 0


class Pick(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chosen portfolio: weights in the order of ``Frontier.assets``, mean log return and risk of a period in bps.

    ``turnover`` is the sum of all changes of weight from what is held, ``cost_bps`` what they cost at once, in basis
    points of the money; ``net_sharpe`` is after that cost, spread over the periods that a portfolio is held. ``wanted``
    says what would be best were a trade worth its cost; then, in ``weights``, what is held stays, or goes no further
    than the constraints ask for. Of the means and Sharpe ratios that bootstraps gave, 95 % lie between ``low`` and
    ``high``. ``note`` says what stands in for what.
    """

    weights: list[float]
    mean_bps: float
    risk_bps: float
    sharpe: float
    turnover: float | None = None
    cost_bps: float | None = None
    net_sharpe: float | None = None
    wanted: list[float] | None = None
    mean_low_bps: float | None = None
    mean_high_bps: float | None = None
    sharpe_low: float | None = None
    sharpe_high: float | None = None
    note: str = ""


class Frontier(msgspec.Struct, frozen=True):
    """Monte Carlo portfolios of a universe after one clock tick.

    ``frontier`` and ``cloud`` are ``[risk_bps, mean_bps]`` points of one period (``period_ns``): the Pareto set by
    rising risk, and a fixed sample of all ``n_portfolios`` evaluated. Rows of ``frontier_weights`` belong to those of
    ``frontier``. ``risk`` is what the risks are; ``estimators`` names covariance, mean and clock, of a
    history what its returns are instead of the clock.

    ``ages_ns`` is how old each asset's price was. ``absent`` says of assets that belong to the universe and are not in
    it why. ``held`` are the weights that costs are counted from, empty if nothing is held.

    Where nothing can be computed ``state`` is WAITING, ``reason`` says why, once, and all else is that of the last good
    tick, at ``ts_computed_ns``: empty if there was none. ``prices`` are the assets' last, ``sources`` the
    ``venue:symbol`` that each is of.

    ``costs`` are what the picks' turnover pays, spread over ``hold`` periods; less than ``band`` of it is not traded.
    ``constraints`` are the universe's as its user wrote them, also on assets that are absent; ``cash`` earns so much in
    a period, as a share; ``aversion`` is of the highest utility, ``window`` how many returns bootstraps and risks other
    than the variance look back on. None in rows from before these were told; of a history, ``window`` is all of it.
    """

    universe: str
    seq: int
    ts_event_ns: int
    ts_recv_ns: int
    period_ns: int
    assets: list[str]
    n_observations: int
    n_portfolios: int
    correlation: list[list[float]]
    picks: dict[str, Pick]
    frontier: list[tuple[float, float]]
    frontier_weights: list[list[float]]
    cloud: list[tuple[float, float]]
    state: FrontierState = "LIVE"
    reason: str = ""
    ts_computed_ns: int = 0
    prices: list[float] = []
    ages_ns: list[int] = []
    absent: dict[str, str] = {}
    held: list[float] = []
    risk: str = "variance"
    estimators: dict[str, str] = {}
    halflife: float | None = None
    sources: list[str] = []
    costs: Costs | None = None
    hold: int | None = None
    band: float | None = None
    constraints: Constraints | None = None
    cash: float | None = None
    aversion: float | None = None
    window: int | None = None


class Status(Record, frozen=True):
    """A change of an instrument's data state."""

    state: DataState
    reason: str


class Audit(Record, frozen=True):
    """A whole book of the venue's beside ours, which is kept by changes; ``seq`` is that of our last event then.

    ``levels`` were compared, those that both books know and that did not change meanwhile; ``levels_different`` have
    another size than the venue's, by at most ``largest_difference``, in the base currency. ``reason`` says what
    differs; it is empty if nothing does.
    """

    levels: int
    levels_different: int
    largest_difference: float
    best_bid_equal: bool
    best_ask_equal: bool
    reason: str


class Latency(msgspec.Struct, frozen=True):
    """Latency of one hop over one reporting interval, in microseconds; stamped by runners, never by the core."""

    hop: str
    ts_event_ns: int
    n: int
    p50_us: float
    p99_us: float
    max_us: float


class FeedStats(msgspec.Struct, frozen=True):
    """What has come of one instrument's feed since its process began; stamped by runners, never by the core.

    All integers are counts since then, as ``producers.exchanges.base.Counts`` has them (a message that tells of several
    trades may count for each); ``early`` are events that seem to have been received before they happened: our clock is
    behind the venue's. ``age_s`` is how long ago its last message came, in seconds. ``messages_per_s`` and the
    latencies from the venue's clock to ours, in microseconds, are of the time since the row before. ``reconnects`` are
    those of all connections to the venue.

    The row without a symbol is of the venue's connections: ``messages`` are all their frames, ``state`` is theirs, and
    the other numbers are of frames that name no symbol or several.
    """

    venue: str
    symbol: str
    ts_event_ns: int
    state: DataState
    messages: int
    received_bytes: int
    events: int
    gaps: int
    resyncs: int
    checksums_passed: int
    checksums_failed: int
    crossed: int
    duplicates: int
    skipped: int
    rejected: int
    reconnects: int
    early: int
    age_s: float
    messages_per_s: float
    latency_p50_us: float | None = None
    latency_p99_us: float | None = None


class DeadLetter(msgspec.Struct, frozen=True):
    """Input that was refused: why, from where (``file:line`` or ``topic[partition]@offset``), and its bytes."""

    ts_recv_ns: int
    source: str
    venue: str
    symbol: str | None
    reason: str
    payload: bytes


AnyRecord: TypeAlias = (
    BookTop
    | FullBook
    | Candle
    | Features
    | Label
    | Prediction
    | Score
    | Frontier
    | Status
    | Audit
    | Latency
    | FeedStats
    | DeadLetter
)
Published: TypeAlias = AnyRecord | Trade
"""What goes over the bus and into the store: records, and the trades they were made of."""
