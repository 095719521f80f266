"""Brute-force search: every combination of a grid becomes a predictor, judged walk-forward like any other.

Each is known by a digest of all that its result depends on, so that a search which is taken up again repeats nothing,
and a result of other data, of another program or of other folds is never taken for it.

All are judged by the same periods, cut at times that the data alone set: what is ranked side by side has gone through
the same market. Who has too little before a period to learn from, for its decisions are rare, is judged by those after.
"""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from quicksilver.errors import InputError
from quicksilver.learning.config import PredictorConfig, Target
from quicksilver.learning.config_file import decoded
from quicksilver.learning.datasets import FeatureHistory, frame_of
from quicksilver.learning.results import Validation
from quicksilver.learning.splits import starts_of
from quicksilver.learning.usable import FOLDS
from quicksilver.learning.validation import validated
from quicksilver.learning.walking import walk
from quicksilver.learning.zoo import NINE, kind_of

MOST_FOLDS = 100
Symbols: TypeAlias = Literal["each"] | tuple[tuple[str, ...], ...]


class SearchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A grid: each field of several values is one of its axes, with the meaning that it has in ``PredictorConfig``.

    ``symbols`` "each" makes a predictor of every instrument of ``venues`` (all, if there are none); else it is a list
    of sets, a predictor each, of which the empty one means all instruments together. ``features`` is a list of sets
    too. ``parameters`` are by type. ``folds`` is how many later periods each is judged by, the same for all.
    """

    types: tuple[str, ...] = NINE
    granularities: tuple[str, ...] = ("1m",)
    horizons: tuple[str, ...] = ("",)
    datasetinputs: tuple[int, ...] = (2,)
    features: tuple[tuple[str, ...], ...] = ((),)
    minutes_back: tuple[float, ...] = (0.0,)
    symbols: Symbols = "each"
    venues: tuple[str, ...] = ()
    target: Target = "direction"
    fee_bps: float = 0.25
    seed: int = 0
    folds: int = FOLDS
    parameters: dict[str, dict[str, Any]] = {}

    def __post_init__(self) -> None:
        axes = ("types", "granularities", "horizons", "datasetinputs", "features", "minutes_back", "symbols")
        for name in axes:
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: there is nothing to try")
        if not 2 <= self.folds <= MOST_FOLDS:
            raise ValueError(f"folds = {self.folds}: give 2 to {MOST_FOLDS}")
        unused = [name for name in self.parameters if name not in self.types]
        if unused:
            raise ValueError(f"parameters.{unused[0]}: it is none of the types {', '.join(self.types)}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """All features that any of the sets names."""
        return tuple(dict.fromkeys(name for some in self.features for name in some))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    search: SearchConfig


class Candidate(msgspec.Struct, frozen=True):
    """One combination; ``data`` tells the rows that it is judged on from all others, ``code`` the program.

    ``starts_ns`` is when each of ``folds`` periods begins; the last ends with the data.
    """

    id: str
    config: PredictorConfig
    folds: int
    instruments: tuple[str, ...]
    data: str
    code: str
    starts_ns: tuple[int, ...] = ()


class Result(msgspec.Struct, frozen=True):
    """What became of a candidate: its scores, or ``why`` there are none.

    ``warned`` is what its model's library had to say.
    """

    candidate: Candidate
    validation: Validation | None = None
    why: str = ""
    warned: tuple[str, ...] = ()
    seconds: float = 0.0


def read_search(toml: bytes, name: str) -> SearchConfig:
    """Return what a TOML file's table ``[search]`` says; ``name`` is the file's, for what is wrong with it.

    Raises:
        InputError: it is no such file, or a value cannot be used.
    """
    try:
        config = decoded(toml, _File, name).search
        for one in _configs(config, [("", ())]):
            kind_of(one)
    except (ValueError, InputError) as error:
        raise InputError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from error
    return config


def candidates(config: SearchConfig, histories: Sequence[FeatureHistory], code: str) -> list[Candidate]:
    """Return every combination once, in a defined order; those with neither moves nor features are none.

    The columns of ``histories`` are ``config.inputs``; ``code`` tells the program from all others.

    Raises:
        InputError: nothing is left, or the data have no such instrument.
    """
    digests = [_digests(one, config.inputs) for one in histories]
    starts_ns = starts_of(np.sort(np.concatenate([one.ts_ns for one in histories])), config.folds) if histories else ()
    found: dict[str, Candidate] = {}
    for one in _configs(config, _instruments(config, histories)):
        used = [number for number, each in enumerate(histories) if one.wants(each.venue, each.symbol)]
        parts = [[digests[number][name] for name in ("", *one.features)] for number in used]
        data = _digest(parts)
        names = tuple(dict.fromkeys(f"{histories[number].venue}:{histories[number].symbol}" for number in used))
        key = _digest([one, starts_ns, data, code])
        found.setdefault(key, Candidate(key, one, config.folds, names, data, code, starts_ns))
    if not found:
        raise InputError("there is nothing to try: each combination needs datasetinputs above 0, or some features")
    return list(found.values())


def _configs(config: SearchConfig, instruments: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[PredictorConfig]:
    axes = product(
        instruments, config.granularities, config.horizons, config.minutes_back, config.features, config.datasetinputs,
        config.types,
    )  # fmt: skip
    for (venue, symbols), granularity, horizon, minutes_back, features, n, name in axes:
        if not n and not features:
            continue
        made = PredictorConfig(
            name, granularity, horizon, n, features, minutes_back=minutes_back,
            venues=(venue,) if venue else config.venues, symbols=symbols, target=config.target, fee_bps=config.fee_bps,
            seed=config.seed, parameters=config.parameters.get(name, {}),
        )  # fmt: skip
        same = made.horizon_ns == made.every_ns  # which is what none means: the same thing is tried once
        yield msgspec.structs.replace(made, horizon="") if same else made


def _instruments(config: SearchConfig, histories: Sequence[FeatureHistory]) -> list[tuple[str, tuple[str, ...]]]:
    """Which instruments each predictor takes: a venue, empty for all of ``config.venues``, and symbols."""
    every = sorted({(one.venue, one.symbol) for one in histories})
    there = [one for one in every if not config.venues or one[0] in config.venues]
    missing = [] if there else [", ".join(config.venues) or "price"]
    if config.symbols != "each":
        symbols = {symbol for _, symbol in there}
        missing += [name for some in config.symbols for name in some if name not in symbols]
    if missing:
        known = ", ".join(":".join(one) for one in every) or "nothing"
        raise InputError(f"the data hold no {missing[0]}; there is {known}")
    if config.symbols == "each":
        return [(venue, (symbol,)) for venue, symbol in there]
    return [("", some) for some in config.symbols]


def _digests(history: FeatureHistory, names: Sequence[str]) -> dict[str, str]:
    """What tells the times, prices and spreads (under no name) and each column of a history from all others."""
    state = hashlib.sha256(msgspec.json.encode([history.venue, history.symbol]))
    for array in (history.ts_ns, history.mid, history.fresh, history.spread_bps):
        state.update(np.ascontiguousarray(array).tobytes())
    columns = zip(names, history.values.T, strict=True)
    return {"": state.hexdigest(), **{name: hashlib.sha256(column.tobytes()).hexdigest() for name, column in columns}}


def _digest(parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:12]


def outcome(candidate: Candidate, histories: Sequence[FeatureHistory], inputs: Sequence[str]) -> Result:
    """Return what becomes of a candidate; the columns of ``histories`` are ``inputs``.

    What its model's library refuses is a result too: hours of others' work must not end with it.
    """
    config = candidate.config
    columns = [inputs.index(name) for name in config.features]
    used = [one._replace(values=one.values[:, columns]) for one in histories if config.wants(one.venue, one.symbol)]
    validation, why = None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            walked = walk(frame_of(used, config), config, candidate.folds, starts_ns=candidate.starts_ns)
            validation = validated(walked, config.seed)
        except (InputError, ValueError, ArithmeticError) as error:
            validation, why = None, " ".join(str(error).split())
    said = tuple(dict.fromkeys(f"{one.category.__name__}: {one.message}".split("\n")[0] for one in caught))
    return Result(candidate, validation, why, said)
