"""How much is handed over at once: rows of a store, and what was sent within the sentence that refuses it."""

from collections.abc import Iterable

ANSWER_BYTES = 64 << 20  # of rows: 500 full books of 5,000 levels would be 250 MB, in this process and in the reader's
REFUSAL_CHARS = 1000  # of a sentence: a reader needs its beginning and its end


def bounded(newest_first: Iterable[bytes], most_bytes: int = ANSWER_BYTES) -> list[bytes]:
    """Return rows oldest first: of those given, as many as fit, and one at least; no more are taken than that.

    >>> bounded(iter([b"333", b"22", b"1"]), 5)
    [b'22', b'333']
    """
    rows, size = list[bytes](), 0
    for row in newest_first:
        size += len(row)
        if rows and size > most_bytes:
            break
        rows.append(row)
    return rows[::-1]


def shortened(refusal: str, most: int = REFUSAL_CHARS) -> str:
    """Return a sentence without its middle if that is long, for it may repeat what was sent.

    >>> shortened("no universe 'xxxxxxxxxxxx'; there is auto", 32)
    "no universe 'xxx ... there is auto"
    """
    if len(refusal) <= most:
        return refusal
    half = most // 2
    return f"{refusal[:half].rstrip()} ... {refusal[-half:].lstrip()}"
