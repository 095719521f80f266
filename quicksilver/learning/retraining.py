"""When a predictor is trained anew, and what becomes of the new version: live scores in, decisions out.

Nothing here trains, reads a clock or opens a file. Time is when outcomes became known, so the same scores in the same
order give the same decisions.
"""

from typing import Literal, NamedTuple, TypeAlias

from quicksilver.events import SECOND_NS
from quicksilver.learning.config import Target
from quicksilver.learning.drift import (
    WORST_ERRORS,
    WORST_LOSS,
    Drift,
    LiveLosses,
    Loss,
    LossDrift,
    Silence,
    told_loss,
)
from quicksilver.learning.retraining_config import RetrainingConfig
from quicksilver.learning.trial import Trial, Verdict
from quicksilver.models.card import AnyCard, Card
from quicksilver.records import Score

ANOTHER_TIME_NS = 86_400 * SECOND_NS  # what lies farther ahead was of a later recording, and says nothing of now

MISSED = 50  # decisions without a score, beside those that a start takes: then it is no accident

Move: TypeAlias = Literal["train", "promote", "drop"]


class Decision(NamedTuple):
    """What is to be done with a predictor, and why.

    ``version`` is the shadow's that is promoted or dropped, ``live`` the live one's that it was held against.
    """

    move: Move
    ts_ns: int
    why: str
    version: str = ""
    live: str = ""


class Standing(NamedTuple):
    """What it takes to follow a version: its decisions, what they are judged by, and how old its data are.

    ``start_ns`` is the time from a gap to its first outcome, ``end_ns`` where its data end; ``error_bps`` is how far
    off it says that the returns are which it predicts, 0 if it predicts none.
    """

    version: str
    every_ns: int
    horizon_ns: int
    fee_bps: float
    start_ns: int
    end_ns: int
    target: Target = "direction"
    error_bps: float = 0.0

    @classmethod
    def of(cls, card: AnyCard) -> "Standing":
        """Return a card's; an ensemble's is that of its members together."""
        cards = [card] if isinstance(card, Card) else card.members
        configs = [one.config for one in cards]
        return cls(
            card.version,
            min(one.every_ns for one in configs),
            max(one.horizon_ns for one in configs),
            max(one.fee_bps for one in configs),
            max((max(one.datasetinputs, one.sequence) + 1) * one.every_ns + one.horizon_ns for one in configs),
            max(one.end_ns for one in cards),
            card.target,
            max(one.error_bps or 0.0 for one in cards),
        )

    @property
    def overlap(self) -> int:
        """How many decisions there are within one horizon."""
        return max(1, -(-self.horizon_ns // self.every_ns))

    def comparable(self, other: "Standing") -> bool:
        """Whether the losses of both are of the same question: the same outcomes, at the same times."""
        return self._question == other._question

    @property
    def _question(self) -> tuple[int, int, float, Target]:
        return self.every_ns, self.horizon_ns, self.fee_bps, self.target

    @property
    def losses(self) -> tuple[float, float]:
        """The least and the most that a decision's loss counts as where drift is looked for."""
        if self.target == "direction":
            return 0.0, WORST_LOSS
        return -WORST_ERRORS * self.error_bps, WORST_ERRORS * self.error_bps


class Past(NamedTuple):
    """Event times of a predictor's last training that was begun, and of the last that gave a version; None: none."""

    begun_ns: int | None = None
    trained_ns: int | None = None


class Retraining:
    """Follows the scores of one predictor.

    At most one training is begun at a time, and none while a shadow is judged: it would never get its outcomes. A trial
    of which neither version is heard any more is given up, or nothing would be trained again.
    """

    def __init__(self, name: str, config: RetrainingConfig, past: Past = Past()) -> None:  # noqa: B008 (immutable)
        self.name = name
        self._config = config
        self._begun_ns, self._trained_ns = past
        self._now_ns = self._first_ns = 0
        self._live: Standing | None = None
        self._shadow: Standing | None = None
        self._training = False
        self._losses = LiveLosses()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget what was found of another version."""
        self._drifts: dict[tuple[str, str], LossDrift] = {}
        self._silences: dict[tuple[str, str], Silence] = {}
        self._drifted = ""
        self._trial: Trial | None = None
        self._both: Silence | None = None  # of the two in the trial, on whatever instrument

    @property
    def now_ns(self) -> int:
        """The newest time at which an outcome was known; 0 before any."""
        return self._now_ns

    def deployed(self, live: Standing | None, shadow: Standing | None, since_ns: int = 0) -> None:
        """Say which version is live now, and which of ours, if any, is its shadow, and since when."""
        if (live, shadow) == (self._live, self._shadow):
            return
        if live != self._live:
            self._begin_anew()
        self._live, self._shadow, self._trial = live, shadow, None
        judged = self._config.promote == "better" and live is not None and shadow is not None
        if judged and live is not None and shadow is not None and live.comparable(shadow):
            span_ns = max(live.every_ns, live.horizon_ns)
            outcomes = self._config.shadow_outcomes
            self._trial = Trial(live.version, shadow.version, outcomes, since_ns, span_ns, live.target)
            patience_ns = max(live.start_ns, shadow.start_ns) + MISSED * live.every_ns
            self._both = Silence(patience_ns, live.every_ns, since_ns)

    def trained(self, success: bool) -> None:
        """Say that the training that was decided on is over; after a failure its reason holds on."""
        self._training = False
        if success:
            self._drifted, self._trained_ns = "", self._begun_ns

    def take(self, score: Score) -> list[Decision]:
        """Return what a score, of this model or another, makes necessary."""
        self._now_ns = max(self._now_ns, score.ts_known_ns)
        self._first_ns = self._first_ns or self._now_ns
        found = self._follow(score, self._live) if self._live is not None else []
        return found or self._due()

    def _follow(self, score: Score, live: Standing) -> list[Decision]:
        instrument = (score.venue, score.symbol)
        mine = score.model == self.name
        loss = self._losses.take(score, live.target) if mine else None
        if self._config.drift:
            why = self._changed(instrument, score, loss, live)
            self._drifted = why if why and not self._answered(score.ts_known_ns) else self._drifted
        verdict = None if loss is None or self._trial is None else self._trial.take(score, loss)
        return self._given_up(score, live) if verdict is None else [self._settled(verdict, live)]

    def _changed(self, instrument: tuple[str, str], score: Score, loss: Loss | None, live: Standing) -> str:
        """Why a score tells of drift, or nothing."""
        silence = self._silences.setdefault(instrument, Silence(live.start_ns + MISSED * live.every_ns, live.every_ns))
        name = ":".join(instrument)
        if score.model != self.name or score.version != live.version:
            silent_ns = silence.passed(score.ts_known_ns)
            return "" if silent_ns is None else f"drift on {name}: it has predicted nothing for {told_span(silent_ns)}"
        silence.heard(score.ts_known_ns)
        if loss is None:
            return ""
        if instrument not in self._drifts:
            self._drifts[instrument] = LossDrift(self._config.delta, live.overlap, *live.losses)
        drift = self._drifts[instrument].take(loss.own)
        return "" if drift is None else _told_drift(name, drift, live)

    def _given_up(self, score: Score, live: Standing) -> list[Decision]:
        """End a trial if neither version has been heard for so long that its outcomes may never come."""
        if self._trial is None or self._shadow is None or self._both is None:
            return []
        if score.model == self.name and score.version in {live.version, self._shadow.version}:
            self._both.heard(score.ts_known_ns)
            return []
        silent_ns = self._both.passed(score.ts_known_ns)
        if silent_ns is None:
            return []
        self._trial = None
        why = f"neither it nor the live version has predicted anything for {told_span(silent_ns)}"
        return [Decision("drop", self._now_ns, why, self._shadow.version, live.version)]

    def _answered(self, ts_ns: int) -> bool:
        """Whether a training has been begun since: the scores of before are read again after a restart."""
        begun_ns = self._seen(self._begun_ns)
        return begun_ns is not None and ts_ns <= begun_ns

    def _settled(self, verdict: Verdict, live: Standing) -> Decision:
        assert self._shadow is not None
        self._trial = None
        move: Move = "promote" if verdict.better else "drop"
        return Decision(move, self._now_ns, str(verdict), self._shadow.version, live.version)

    def _due(self) -> list[Decision]:
        begun_ns = self._seen(self._begun_ns)
        rests = begun_ns is not None and self._now_ns - begun_ns < self._config.apart_ns
        if self._training or self._trial is not None or rests:
            return []
        why = self._reason()
        if not why:
            return []
        self._training, self._begun_ns = True, self._now_ns
        return [Decision("train", self._now_ns, why)]

    def _reason(self) -> str:
        if self._live is None:
            return "there is no version yet"
        if self._drifted:
            return self._drifted
        every_ns = self._config.every_ns
        if every_ns is None:
            return ""
        known = [self._seen(self._trained_ns), self._seen(self._live.end_ns)]
        since_ns = max((one for one in known if one is not None), default=self._first_ns)
        age_ns = self._now_ns - since_ns
        if age_ns < every_ns:
            return ""
        return f"schedule: its data end {told_span(age_ns)} ago, every = {self._config.every}"

    def _seen(self, ts_ns: int | None) -> int | None:
        """A time, unless it is of a later recording than this one."""
        return None if ts_ns is None or ts_ns - self._now_ns > ANOTHER_TIME_NS else ts_ns


def told_span(span_ns: int) -> str:
    """Return a span of time for people.

    >>> told_span(90 * SECOND_NS), told_span(8 * 3600 * SECOND_NS), told_span(72 * 3600 * SECOND_NS)
    ('1.5 min', '8 h', '3 days')
    """
    seconds = span_ns / SECOND_NS
    for unit, of_s in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 1.5 * of_s or (unit == "min" and seconds >= of_s):
            return f"{seconds / of_s:.3g} {unit}"
    return f"{seconds:.3g} s"


def _told_drift(instrument: str, drift: Drift, live: Standing) -> str:
    after, before = (told_loss(live.target, one) for one in (drift.after, drift.before))
    return (
        f"drift on {instrument}: its {after} over the last {drift.n_after * live.overlap} outcomes, after {before} over"
        f" {drift.n_before * live.overlap}"
    )
