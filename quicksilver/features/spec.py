"""What each feature is: formula, unit, warm-up and source, in the field order of ``records.Features``.

P_b, q_b, P_a, q_a are the best bid's and ask's price and size; Q_b(k), Q_a(k) the summed size of the best k levels.
A bar is one second of event time (previous tick), or one row of a price series. "Grid" is 100 ms of event time.
"""

import msgspec


class FeatureSpec(msgspec.Struct, frozen=True):
    """One feature: ``warm_up`` says when it is first known."""

    name: str
    formula: str
    unit: str
    warm_up: str
    source: str = ""


_STOIKOV = "Stoikov, The micro-price, 2018 (size-weighted mid, its first-order form)"
_CONT = "Cont, Kukanov, Stoikov, The price impact of order book events, J. Financial Econometrics 12(1), 2014"
_VPIN = "Easley, Lopez de Prado, O'Hara, Flow toxicity and liquidity, Review of Financial Studies 25(5), 2012"
_SLOPE = "after Naes, Skjeltorp, Order book characteristics and the volume-volatility relation, 2006"
_REALISED = "Andersen, Bollerslev, Answering the skeptics, International Economic Review 39(4), 1998"
_WILDER = "Wilder, New concepts in technical trading systems, 1978"
_APPEL = "Appel, The moving average convergence-divergence method, 1979"
_OFI = "sum of e = q_b[P_b>=P_b'] - q_b'[P_b<=P_b'] - q_a[P_a<=P_a'] + q_a'[P_a>=P_a'] over the last {}"
_IMBALANCE = "(Q_b({0}) - Q_a({0})) / (Q_b({0}) + Q_a({0}))"
_SLOPE_FORMULA = "least squares through 0 of cumulative {} size on distance from mid, best 10 levels"

FEATURES: tuple[FeatureSpec, ...] = (
    FeatureSpec("mid", "(P_b + P_a) / 2, or the series' price", "quote", "first book or row"),
    FeatureSpec("spread_bps", "(P_a - P_b) / mid", "bps", "first book"),
    FeatureSpec("microprice", "(P_b q_a + P_a q_b) / (q_b + q_a)", "quote", "first book", _STOIKOV),
    FeatureSpec("imbalance_1", _IMBALANCE.format(1), "-1..1", "first book", _CONT),
    FeatureSpec("imbalance_5", _IMBALANCE.format(5), "-1..1", "first book", _CONT),
    FeatureSpec("imbalance_10", _IMBALANCE.format(10), "-1..1", "first book", _CONT),
    FeatureSpec("ofi_1s", _OFI.format("1 s"), "base", "1 s of book", _CONT),
    FeatureSpec("ofi_10s", _OFI.format("10 s"), "base", "10 s of book", _CONT),
    FeatureSpec("depth_slope_bid", _SLOPE_FORMULA.format("bid"), "base/bps", "first book", _SLOPE),
    FeatureSpec("depth_slope_ask", _SLOPE_FORMULA.format("ask"), "base/bps", "first book", _SLOPE),
    FeatureSpec("trade_imbalance_10s", "(n_buy - n_sell) / (n_buy + n_sell), 10 s", "-1..1", "10 s, with a trade"),
    FeatureSpec("volume_10s", "traded size, last 10 s", "base", "10 s"),
    FeatureSpec("volume_60s", "traded size, last 60 s", "base", "60 s"),
    FeatureSpec("vpin", "sum |V_buy - V_sell| / sum V, 20 buckets of 20 mean trades", "0..1", "20 buckets", _VPIN),
    FeatureSpec("upticks", "moves up of the mid since the last top", "count", "first book"),
    FeatureSpec("downticks", "moves down of the mid since the last top", "count", "first book"),
    FeatureSpec("uptick_notional", "sum of P_a q_a before each move up since the last top", "quote", "first book"),
    FeatureSpec("downtick_notional", "sum of P_b q_b before each move down since the last top", "quote", "first book"),
    FeatureSpec("return_1s_bps", "ln(mid / mid 1 s ago, previous tick)", "bps", "a mid 1 s ago"),
    FeatureSpec("return_10s_bps", "ln(mid / mid 10 s ago, previous tick)", "bps", "a mid 10 s ago"),
    FeatureSpec("return_60s_bps", "ln(mid / mid 60 s ago, previous tick)", "bps", "a mid 60 s ago"),
    FeatureSpec("volatility_10s_bps", "sqrt(sum of squared bar log returns), 10 bars", "bps", "11 bars", _REALISED),
    FeatureSpec("volatility_60s_bps", "sqrt(sum of squared bar log returns), 60 bars", "bps", "61 bars", _REALISED),
    FeatureSpec("volatility_300s_bps", "sqrt(sum of squared bar log returns), 300 bars", "bps", "301 bars", _REALISED),
    FeatureSpec("rsi_14", "100 G / (G + L), Wilder means of 14 bars' gains and losses", "0..100", "15 bars", _WILDER),
    FeatureSpec("macd_bps", "(EMA_12 - EMA_26 of bar closes) / mid", "bps", "26 bars", _APPEL),
    FeatureSpec("macd_signal_bps", "EMA_9 of (EMA_12 - EMA_26) / mid", "bps", "35 bars", _APPEL),
    FeatureSpec("momentum_bps", "ln(mid / close of 30 bars before the last)", "bps", "31 bars"),
)
