"""What is done to a frame's text: letters, numbers, keys, values and whole messages changed, each by its own rule."""

import re
from collections.abc import Callable, Sequence
from random import Random
from string import ascii_letters, digits
from typing import TypeAlias

Rule: TypeAlias = Callable[[Random, bytes, Sequence[bytes]], bytes]
"""Draws, a text, and all texts of the corpus: the text to be."""

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_KEY = re.compile(rb'"([^"\\]*)"\s*:')
_VALUE = re.compile(rb'(?<=[:\[,])\s*("[^"\\]*"|-?\d[\d.eE+-]*|true|false|null|\[\]|\{\})')
_PAIR = re.compile(rb'("[^"\\]*"\s*:\s*(?:"[^"\\]*"|-?\d[\d.]*|true|false|null))')
_LEAVES = (
    b"null", b"true", b"[]", b"{}", b'""', b"0", b"-0", b"-1", b"1e400", b"-1e400", b"1e-400", b"NaN", b"Infinity",
    b"1E5", b"0.1e1", b"00.5", b"5.", b".5", b"+1", b"0x1F", b"9" * 18, b"9" * 19, b"9" * 40, b"9" * 5000,
    b"0." + b"0" * 400 + b"1", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616",
    b"4611686018427387904", b"1" + b"0" * 320, b"9" * 4299, b'"' + b"9" * 4299 + b'"', b"18446744073709551616.0",
    b'"184467440737.09551616"', b'"1e-99999999"', b'"0e-99999999"', b'"1e99999999"', b"1e-20", b'"1e-20"',
    b'"1e9999999999999999999999"', b'"\\u0000"', b'"\\ud800"', b'"\xff\xfe"', b'"\xe2\x82\xac"', b'"1e400"', b'"NaN"',
    b'"-1"', b'"0"', b'"inf"', b'"1_000"', b'" 1"', b'"\xd9\xa1"', b'"2026-13-45T99:99:99Z"', b'"buy"', b"[[]]",
    b'[["1","2"]]', b'[[1,2,3,4,5]]', b'{"a":{"b":[null]}}', b'"' + b"x" * 3000 + b'"',
)  # fmt: skip
_ENDS = (b"0", b"00000", b".5", b"e0", b"e3", b"e-3", b"e-20", b"e400", b"e-99999999", b"0" * 320)
_DEPTHS = (10, 600, 1100, 5_000)  # of brackets in each other: below and above what decoders take


def _flip(rng: Random, text: bytes, corpus: Sequence[bytes]) -> bytes:  # noqa: ARG001 (a rule's arguments)
    data = bytearray(text)
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _put(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(text) + 1)
    return (
        text[:at] + rng.choice((rng.randbytes(1), b'"', b"\\", b",", b"}", b"]", b"-", b"e", b" ", b"\0")) + text[at:]
    )


def _cut_out(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(text))
    return text[:at] + text[at + rng.choice((1, 1, 5, 50)) :]


def _truncate(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    return text[: rng.randrange(len(text))]


def _double(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    start = rng.randrange(len(text))
    end = start + rng.choice((1, 10, 100))
    return text[:end] + text[start:end] * rng.choice((1, 1, 30)) + text[end:]


def _splice(rng: Random, text: bytes, corpus: Sequence[bytes]) -> bytes:
    other = rng.choice(corpus)
    return text[: rng.randrange(len(text))] + other[rng.randrange(len(other) + 1) :]


def _within(rng: Random, text: bytes, pattern: re.Pattern[bytes], make: Callable[[bytes], bytes]) -> bytes:
    """Replace one of the places where a pattern is found."""
    found = list(pattern.finditer(text[:20_000]))
    if not found:
        return _flip(rng, text, ())
    one = rng.choice(found)
    group = one.lastindex or 0
    return text[: one.start(group)] + make(one[group]) + text[one.end(group) :]


def _digit(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    def changed(number: bytes) -> bytes:
        """Return the number with one character changed: a digit to a digit, a point or sign to any of the three."""
        data = bytearray(number)
        at = rng.randrange(len(data))
        data[at] = rng.choice(b"0123456789" if 48 <= data[at] <= 57 else b"-.0123456789")
        return bytes(data)

    return _within(rng, text, _NUMBER, changed)


def _scale(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    return _within(rng, text, _NUMBER, lambda number: number + rng.choice(_ENDS))


def _step(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """A whole number a little larger or smaller, as sequence numbers and times are when they are wrong."""

    def stepped(number: bytes) -> bytes:
        """Return the number a little off, never below 0; one that is no whole number with a digit more."""
        plain = number.isdigit() and len(number) < 20
        return b"%d" % max(int(number) + rng.choice((-1000, -2, -1, 1, 2, 1000)), 0) if plain else number + b"1"

    return _within(rng, text, _NUMBER, stepped)


def _value(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    def other(value: bytes) -> bytes:
        """Return the value with quotes put on or taken off, or another one in its place."""
        quoted = b"%s" % value.strip(b'"') if value[:1] == b'"' else b'"%s"' % value
        return quoted if rng.random() < 0.3 else rng.choice(_LEAVES)

    return _within(rng, text, _VALUE, other)


def _nest(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    depth = rng.choice(_DEPTHS)
    head, tail = (b"[", b"]") if rng.random() < 0.5 else (b'{"a":', b"}")
    return _within(rng, text, _VALUE, lambda value: head * depth + value + tail * rng.choice((depth, depth, 0)))


def _rename(rng: Random, text: bytes, corpus: Sequence[bytes]) -> bytes:
    keys = _KEY.findall(rng.choice(corpus)[:2_000]) or [b"x"]
    name = rng.choice((rng.choice(keys), b"", b"x", rng.choice(keys).swapcase(), b"\xff"))
    return _within(rng, text, _KEY, lambda _: name)


def _repeat_key(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    def twice(pair: bytes) -> bytes:
        """Return the pair and its key once more, with the same value or another."""
        key, _, value = pair.partition(b":")
        return pair + b"," + key + b":" + rng.choice((value, value, *_LEAVES))

    return _within(rng, text, _PAIR, twice)


def _escape_key(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """A key with an escaped letter: the same to a decoder, another to who compares bytes; instead, or as well."""

    def escaped(pair: bytes) -> bytes:
        key, _, value = pair.partition(b":")
        at = rng.randrange(len(key))
        other = key[:at] + b"\\u%04x" % key[at] + key[at + 1 :] + b":"
        if rng.random() < 0.3:
            return other + value
        exponent = rng.choice((b"", b"e0")) if value.strip()[-1:].isdigit() else b""  # then all is decoded once more
        return pair + exponent + b"," + other + rng.choice((b"null", b"true", value, *_LEAVES))

    return _within(rng, text, _PAIR, escaped)


def _symbol(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """A word in capitals, as symbols are, is another everywhere: most are of symbols that nobody knows."""
    words = re.findall(rb"[A-Za-z]{3,12}(?=[\"/_:-])", text[:20_000]) or [b"x"]
    letters = "".join(rng.choices(ascii_letters + digits, k=rng.choice((1, 3, 5, 200))))
    word = rng.choice(words)
    return text.replace(word, rng.choice((letters.upper(), letters, word.decode().swapcase())).encode())


def _junk(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    return rng.choice(
        (b"", b"{}", b"[]", b"null", b"0", b'""', b"[[]]", rng.randbytes(rng.randrange(len(text))), b"[" * 5_000)
    )


def _swap(rng: Random, text: bytes, _: Sequence[bytes]) -> bytes:
    """Two parts between commas change places."""
    parts = text.split(b",")
    one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]
    return b",".join(parts)


RULES: tuple[Rule, ...] = (
    _flip, _put, _cut_out, _truncate, _double, _splice, _digit, _digit, _scale, _step, _step, _value, _value, _value,
    _nest, _rename, _repeat_key, _escape_key, _symbol, _junk, _swap,
)  # fmt: skip


def mutated(rng: Random, text: bytes, corpus: Sequence[bytes]) -> bytes:
    """Return the text after one rule, or a few; now and then it is the text as it was."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if text:
            text = rng.choice(RULES)(rng, text, corpus)
    return text
