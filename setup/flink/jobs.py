"""Flink's jobs: submitted, listed, stopped with a savepoint and started again from it.

https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/ops/rest_api/
"""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx

from quicksilver.errors import InputError
from setup.flink.service import environment, home
from setup.services import HERE
from setup.settings import ClusterSettings

JOBS = {name: HERE.parent / "jobs" / f"flink_{name}.py" for name in ("features", "predict", "portfolio")}
ENDED = {"CANCELED", "FAILED", "FINISHED"}
TIMEOUT_S = 120.0
POLL_S = 0.2


class Job(NamedTuple):
    """A job that has not ended: ``state`` in Flink's words, ``since_ms`` when it began."""

    name: str
    id: str
    state: str
    since_ms: int
    restarts: int


class Jobs:
    """The jobs of one Flink."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._rest = httpx.Client(base_url=f"http://{settings.host}:{settings.flink_port}", timeout=30.0)
        self._notes = (settings.folder / "flink" / "savepoints").resolve()

    def running(self) -> dict[str, Job]:
        """Return the jobs that have not ended, by name.

        Raises:
            InputError: Flink does not answer.
        """
        found = [one for one in self._get("/jobs/overview")["jobs"] if one["state"] not in ENDED]
        return {one["name"]: self._job(one) for one in found}

    def _job(self, found: dict[str, Any]) -> Job:
        try:
            metrics = self._get(f"/jobs/{found['jid']}/metrics", get="numRestarts")
        except InputError:  # it has ended since
            metrics = []
        restarts = int(metrics[0]["value"]) if metrics else 0
        return Job(found["name"], found["jid"], found["state"], found["start-time"], restarts)

    def submit(
        self, name: str, say: Callable[[str], None], parallelism: int = 1, fresh: bool = False,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Start a job, from its last savepoint if there is one and ``fresh`` is not asked for.

        ``options`` are variables of its environment (``jobs.settings.FullBookSettings``).

        Raises:
            InputError: there is no such job, it runs already, or Flink refuses it.
        """
        if name not in JOBS:
            raise InputError(f"no job {name!r}; there are {', '.join(JOBS)}")
        if name in self.running():
            raise InputError(f"{name} runs already; `quicksilver jobs stop {name}` stops it")
        note = self._notes / name
        savepoint = note.read_text() if note.is_file() and not fresh else ""
        say(f"{name}: submitting" + (f", from {savepoint}" if savepoint else ""))
        command = [str(home() / "bin" / "flink"), "run", "-d", *(["-s", savepoint] if savepoint else [])]
        servers = os.environ.get("KAFKA_SERVERS") or self._settings.kafka_servers
        given = {"KAFKA_SERVERS": servers, "PARALLELISM": str(parallelism), **options}
        done = subprocess.run(
            [*command, "-py", str(JOBS[name])], env={**os.environ, **environment(self._settings), **given},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or name not in self.running():
            raise InputError(f"{name} could not be submitted: {_reason(done.stdout + done.stderr)}")

    def wait(self, name: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until all of a job's tasks run.

        Raises:
            InputError: they do not, in that time.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            job = self.running().get(name)
            tasks = self._get(f"/jobs/{job.id}")["vertices"] if job else []
            if tasks and all(one["status"] == "RUNNING" for one in tasks):
                return
            time.sleep(POLL_S)
        why = self.trouble(name) or "has Flink too few TaskManagers?"
        raise InputError(f"{name} does not run after {timeout_s:.0f} s: {why}")

    def slots(self, name: str) -> int:
        """Return how many slots a job has; 1 if it does not run."""
        job = self.running().get(name)
        return max((one["parallelism"] for one in self._get(f"/jobs/{job.id}")["vertices"]), default=1) if job else 1

    def options(self, name: str) -> dict[str, str]:
        """Return the options that a job was submitted with; none if it does not run."""
        job = self.running().get(name)
        return dict(self._get(f"/jobs/{job.id}/config")["execution-config"]["user-config"]) if job else {}

    def trouble(self, name: str) -> str:
        """Return why a job was last restarted, or nothing."""
        job = self.running().get(name)
        found = self._get(f"/jobs/{job.id}/exceptions")["exceptionHistory"]["entries"] if job else []
        return str(found[0]["stacktrace"].splitlines()[0]) if found else ""

    def stop(self, name: str) -> str:
        """Stop a job with a savepoint, from which ``submit`` starts it again; returns where that is.

        Raises:
            InputError: it does not run, or the savepoint fails.
        """
        job = self.running().get(name)
        if job is None:
            raise InputError(f"{name} does not run")
        trigger = self._ask("POST", f"/jobs/{job.id}/stop", json={"drain": False})["request-id"]
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            state = self._get(f"/jobs/{job.id}/savepoints/{trigger}")
            if state["status"]["id"] == "COMPLETED":
                break
            time.sleep(POLL_S)
        done = state.get("operation") or {}  # null while it goes on
        place = done.get("location")
        if place is None:
            why = done.get("failure-cause", {}).get("stack-trace", f"it takes longer than {TIMEOUT_S:.0f} s")
            raise InputError(f"{name} could not be stopped with a savepoint: {why.splitlines()[0]}")
        self._notes.mkdir(parents=True, exist_ok=True)
        (self._notes / name).write_text(place)
        return str(place)

    def cancel(self, name: str) -> None:
        """End a job at once, without a savepoint.

        Raises:
            InputError: it does not run, or goes on running.
        """
        job = self.running().get(name)
        if job is None:
            raise InputError(f"{name} does not run")
        self._ask("PATCH", f"/jobs/{job.id}", params={"mode": "cancel"})
        until = time.monotonic() + TIMEOUT_S
        while name in self.running():
            if time.monotonic() > until:
                raise InputError(f"{name} still runs {TIMEOUT_S:.0f} s after it was to end; see {self._rest.base_url}")
            time.sleep(POLL_S)

    def close(self) -> None:
        """Close the connection."""
        self._rest.close()

    def _get(self, path: str, **params: str) -> Any:
        return self._ask("GET", path, params=params)

    def _ask(self, method: str, path: str, **given: Any) -> Any:
        where = self._rest.base_url
        try:
            answer = self._rest.request(method, path, **given)
        except httpx.TransportError as error:
            raise InputError(f"no Flink at {where} ({error}): `quicksilver cluster up` starts one") from error
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise InputError(f"Flink at {where} has no leader at the moment; try again")
        if answer.is_error:  # of a job that has just ended, for one
            raise InputError(f"Flink at {where} refuses {method} {path}: {answer.status_code} {answer.reason_phrase}")
        return answer.json() if answer.content else None


def _reason(output: str) -> str:
    lines = [line for line in output.splitlines() if "Error" in line or "Exception" in line]
    return "\n".join(lines[:5]) or output.strip()[-500:]
