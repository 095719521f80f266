"""When predictors are trained anew, as their user writes it, and what becomes of the new versions."""

from typing import Literal, TypeAlias

import msgspec

from quicksilver.learning.config import require_span
from quicksilver.spans import span_ns

Promotion: TypeAlias = Literal["never", "better", "always"]
MIN_OUTCOMES = 10  # of a shadow, before anything is said of it


class RetrainingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the predictors of a file are trained anew, and what becomes of the new versions.

    ``every`` is the time after which a version is old, "" if that is no reason. With ``drift`` a rise of the live
    loss is one: ADWIN's, of confidence ``delta``, on each instrument by itself. No two trainings of a predictor begin
    within ``at_least_apart``. ``promote`` says what a new version is: "never" a shadow, until a user promotes it;
    "better" a shadow that is promoted if its loss is below that of the live version on the same decisions by more than
    chance (the whole 95 % interval of the difference), else dropped; "always" live at once. The loss is the log-loss of
    a direction, and of a return what acting on it lost after costs. A shadow is judged by ``shadow_outcomes`` outcomes
    that do not overlap: where a horizon is four decisions long, by four times as many; those of several instruments at
    one time count as one. All time is that of the events.
    """

    every: str = ""
    drift: bool = False
    delta: float = 0.002
    at_least_apart: str = "10m"
    promote: Promotion = "better"
    shadow_outcomes: int = 200

    def __post_init__(self) -> None:
        if not self.every and not self.drift:
            raise ValueError('retraining without a reason: give every = "6h", drift = true, or both')
        if not 0.0 < self.delta < 1.0:
            raise ValueError(f"delta = {self.delta:g} is no chance of a false alarm: give one between 0 and 1")
        if self.shadow_outcomes < MIN_OUTCOMES:
            raise ValueError(f"shadow_outcomes = {self.shadow_outcomes}: fewer than {MIN_OUTCOMES} tell nothing")
        require_span(self.every or self.at_least_apart)
        require_span(self.at_least_apart)

    @property
    def every_ns(self) -> int | None:
        """Time after which a version is old, if there is one."""
        return span_ns(self.every) if self.every else None

    @property
    def apart_ns(self) -> int:
        """Time between two trainings at least."""
        return span_ns(self.at_least_apart)
