"""REST for a recording that is played: its state, and pause, resume, step and speed."""

import asyncio
from contextlib import suppress
from typing import Literal

import msgspec
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from api.ports import Playing
from quicksilver.errors import InputError

MAX_STEPS = 1_000_000
STEP_S = 10.0  # how long an answer waits for its steps
NO_RECORDING = "this source is no recording: only SOURCE=tape and SOURCE=csv can be paused and stepped through"


class Order(BaseModel):
    """What is to be done; ``speed`` may come with any action, ``n`` is for ``step``."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["pause", "resume", "step", "speed"]
    n: int = Field(1, ge=1, le=MAX_STEPS)
    speed: float | str | None = None


def add_replay(app: FastAPI, playback: Playing | None) -> None:
    """Add ``/api/replay``; without a ``playback`` it answers 409, with a sentence."""

    def required() -> Playing:
        """Return what plays the recording; HTTP 409 where the source is none."""
        if playback is None:
            raise HTTPException(409, NO_RECORDING)
        return playback

    @app.get("/api/replay")
    async def state() -> Response:
        """Return whether the recording is paused, its speed, and where it is."""
        return _state(required())

    @app.post("/api/replay")
    async def control(order: Order) -> Response:
        """Pause, resume, step through or change the speed of the recording; returns its state after that."""
        one = required()
        _obey(one, order)
        if order.action == "step":
            with suppress(TimeoutError):
                async with asyncio.timeout(STEP_S):
                    await one.held()
        return _state(one)


def _obey(one: Playing, order: Order) -> None:
    if order.action == "speed" and order.speed is None:
        raise HTTPException(422, "speed: give a positive number such as 0.5, 1 or 50, or max")
    if order.speed is not None:
        try:
            one.set_speed(str(order.speed))
        except InputError as error:
            raise HTTPException(422, str(error)) from error
    if order.action == "pause":
        one.pause()
    elif order.action == "resume":
        one.resume()
    elif order.action == "step":
        one.step(order.n)


def _state(one: Playing) -> Response:
    return Response(msgspec.json.encode(one.state()), media_type="application/json")
