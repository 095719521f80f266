"""One number out of its text, as venues write it: ASCII digits, a sign, a point, an exponent, and nothing else.

``float`` and ``int`` would also read ``1_0``, white space, the digits of every script, and words.
"""

import math
from typing import Any

from quicksilver.errors import FrameError

_TEXT = "0123456789.eE+-"
_BYTES = _TEXT.encode()


def plain(text: str | bytes) -> bool:
    """Whether a text has no other letters than numbers have.

    >>> plain("-1.5e3"), plain("1_0"), plain("\N{ARABIC-INDIC DIGIT ONE}")
    (True, False, False)
    """
    return not (text.strip(_TEXT) if isinstance(text, str) else text.strip(_BYTES))


def float_of(value: Any) -> float:
    """Return a number of any sign, given as text or as JSON has it.

    Raises:
        FrameError: it is none, or beyond what a double can hold.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"not a number: {value!r:.40}") from error
    foreign = not plain(value) if isinstance(value, str | bytes) else isinstance(value, bool)
    if foreign or not math.isfinite(number):
        raise FrameError(f"not a number: {value!r:.40}")
    return number
