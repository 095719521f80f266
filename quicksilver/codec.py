"""JSON on the wire, for every event and record; one place, so that four runners write the same bytes.

NaN never leaves: msgspec writes it as ``null``, which is our "not known".
"""

from typing import Any, TypeVar

import msgspec

from quicksilver.errors import FrameError
from quicksilver.events import NO_LEVELS, AnyEvent, Levels

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding hostile JSON may raise."""


def _encode_custom(value: Any) -> Any:
    if isinstance(value, Levels):
        return value.tolist()
    raise NotImplementedError(f"cannot encode {type(value)}")


def _decode_custom(kind: type, value: Any) -> Any:
    if kind is Levels:
        return Levels.of(value) if value else NO_LEVELS
    raise NotImplementedError(f"cannot decode {kind}")


T = TypeVar("T", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder(enc_hook=_encode_custom)
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}

encode = _encoder.encode
"""Encode an event or record to JSON bytes."""


def decode(kind: type[T], data: bytes) -> T:
    """Decode JSON bytes to ``kind``.

    Raises:
        FrameError: the bytes are not JSON of that type.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_decode_custom)
    value: T = _decode(decoder, data, kind.__name__)
    return value


_event_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyEvent, dec_hook=_decode_custom)


def decode_event(data: bytes) -> AnyEvent:
    """Decode any event by its ``type`` field.

    Raises:
        FrameError: the bytes are not a JSON event.
    """
    event: AnyEvent = _decode(_event_decoder, data, "event")
    return event


def _decode(decoder: msgspec.json.Decoder[Any], data: bytes, what: str) -> Any:
    try:
        return decoder.decode(data)
    except (*UNREADABLE, ValueError) as error:
        raise FrameError(f"not {'an' if what[0] in 'aeiou' else 'a'} {what}: {error}") from error
