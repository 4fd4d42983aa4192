"""A thousand viewers at once, who fetch, click and rate, beside all of Cinema's programs.

`python -m bench.crowd` reads a `Crowd` from its input and writes what came back.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain
from statistics import median
from typing import Any

from bench.data import MOVIELENS, DataSets
from bench.load import HOST, get, post, put
from bench.reporting import Report, Target

P99_AT_MOST_MS = 500
THINK_S = 1.0
LIST = "/api/v1/recommendations"
#: A server that is silent for so long has failed.
CROWD_SILENCE_S = 60.0
EXPECTED = {"fetch": {200}, "click": {204}, "rate": {200}}

_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def run(data: DataSets) -> Report:
    scale = data.scale
    with data.opened(MOVIELENS) as home, ExitStack() as stack:
        home.call("serving.train_hybrid")
        tokens = home.call("viewers.issue_tokens_to", count=scale.crowd)
        for name in ("worker", "beat"):
            stack.enter_context(home.program(name))
        port = stack.enter_context(home.web())
        crowd = Crowd(port, tokens, THINK_S, scale.crowd_arriving_s, scale.crowd_seconds)
        found = _visited(crowd)
        stored = home.call("viewers.count_stored")
    return _report(found, stored, crowd)


def _visited(crowd: Crowd) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.crowd"],
        input=json.dumps(asdict(crowd)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=crowd.arriving_s + crowd.seconds + 180,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _p99(ms: list[float]) -> float:
    return sorted(ms)[int(0.99 * (len(ms) - 1))]


def _report(found: dict[str, Any], stored: dict[str, int], crowd: Crowd) -> Report:
    by_kind = {**found["ms"], "all": [*chain.from_iterable(found["ms"].values())]}
    return Report(
        name="crowd",
        figures=[
            {
                "request": kind,
                "answers": len(ms),
                "a second": len(ms) / crowd.seconds,
                "median ms": median(ms),
                "p99 ms": _p99(ms),
                "slowest ms": max(ms),
            }
            for kind, ms in by_kind.items()
        ],
        targets=[
            Target("errors", sum(found["errors"].values()), "at most", 0),
            Target("p99 of all, ms", _p99(by_kind["all"]), "at most", P99_AT_MOST_MS),
        ],
        rounds={"errors": found["errors"], "stored": stored},
        notes=[
            f"{len(crowd.tokens):,} viewers; each waits {crowd.think_s:.0f} s (give or "
            f"take a half) after each answer, for {crowd.seconds:.0f} s; they came within "
            f"{crowd.arriving_s:.0f} s before. Beside the web a worker and beat ran, on the same "
            "cores as the generator, which used "
            f"{found['generator_share']:.2f} of one.",
            f"Stored meanwhile: {stored['impressions']:,} impressions, {stored['clicks']:,} "
            "clicks.",
        ],
    )


@dataclass(frozen=True)
class Crowd:
    """The viewers of a run.

    Attributes:
        tokens: Access tokens, one a viewer.
        think_s: Each waits so long after an answer, give or take a half.
        arriving_s: They come one after another within this time, which does not count.
        seconds: For which it counts.
    """

    port: int
    tokens: Sequence[str]
    think_s: float
    arriving_s: float
    seconds: float


@dataclass(frozen=True)
class Visited:
    """The answers that count.

    Attributes:
        ms: By kind of request, of each answer.
        errors: By kind and what happened, how often.
        generator_share: Of one core, what the generator itself used meanwhile.
    """

    ms: Mapping[str, list[float]]
    errors: Mapping[str, int]
    generator_share: float


@dataclass
class _CrowdTally:
    counts_from: float
    ends_at: float
    ms: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in EXPECTED})
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, status: int, sent_at: float) -> None:
        if status not in EXPECTED[kind]:
            self.errors[f"{kind}: {status}"] += 1
        elif self.counts_from <= sent_at < self.ends_at:
            self.ms[kind].append((time.perf_counter() - sent_at) * 1000)


class _Viewer:
    def __init__(self, crowd: Crowd, token: str, tally: _CrowdTally) -> None:
        self._crowd, self._tally = crowd, tally
        self._headers = {"Authorization": f"Bearer {token}"}
        self._luck = random.Random(token)

    async def visit(self, arrives_at: float) -> None:
        """Fetch, open one of the films, rate another; and again, until the end."""
        await asyncio.sleep(max(0.0, arrives_at - time.perf_counter()))
        try:
            self._streams = await asyncio.open_connection(HOST, self._crowd.port, limit=1 << 20)
            while time.perf_counter() < self._tally.ends_at:
                await self._round()
        except (TimeoutError, OSError, EOFError) as error:
            self._tally.errors[type(error).__name__] += 1

    async def _round(self) -> None:
        answer = await self._ask("fetch", get(LIST, self._headers))
        found = json.loads(answer)
        films = [item["movie"]["id"] for item in found.get("items", [])]
        if len(films) < 2:
            self._tally.errors["fetch: an empty list"] += 1
            return
        opened, rated = self._luck.sample(films, 2)
        clicks = f"{LIST}/{found['list_id']}/clicks"
        await self._ask("click", post(clicks, {"movie_id": opened}, self._headers))
        stars = self._luck.randint(1, 10) / 2
        rating = put(f"/api/v1/movies/{rated}/rating", {"stars": stars}, self._headers)
        await self._ask("rate", rating)

    async def _ask(self, kind: str, request: str) -> bytes:
        reader, writer = self._streams
        sent_at = time.perf_counter()
        writer.write(request.encode())
        status, body = await asyncio.wait_for(_read(reader), CROWD_SILENCE_S)
        self._tally.add(kind, status, sent_at)
        await asyncio.sleep(self._crowd.think_s * self._luck.uniform(0.5, 1.5))
        return body


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _length.search(head)
    return int(head[9:12]), await reader.readexactly(int(length[1])) if length else b""


async def visit_all(crowd: Crowd) -> Visited:
    """Let all of them come; returns when the last one has gone."""
    now = time.perf_counter()
    tally = _CrowdTally(now + crowd.arriving_s, now + crowd.arriving_s + crowd.seconds)
    cpu_s = time.process_time()
    every_s = crowd.arriving_s / len(crowd.tokens)
    await asyncio.gather(
        *(
            _Viewer(crowd, token, tally).visit(now + number * every_s)
            for number, token in enumerate(crowd.tokens)
        )
    )
    share = (time.process_time() - cpu_s) / (time.perf_counter() - now)
    return Visited(tally.ms, dict(tally.errors), share)


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(visit_all(Crowd(**json.load(sys.stdin))))), sys.stdout)
