"""The world's file: a world, its troubles and its tokens in one JSON object, to be handed to somebody else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sandbox.faults import Fault
from sandbox.limits import Throttle, Usage
from sandbox.world import Options


@dataclass
class Scenario:
    """What `--world FILE` says. The names are the keys of its JSON object; none is needed."""

    about: str = ""
    world: dict[str, Any] = field(default_factory=dict)  # see `world.Options`
    faults: list[dict[str, Any]] = field(default_factory=list)  # see `faults.Fault`
    throttles: list[dict[str, Any]] = field(default_factory=list)  # see `limits.Throttle`
    usage: dict[str, Any] = field(default_factory=dict)  # see `limits.Usage`
    tokens: list[dict[str, Any]] = field(default_factory=list)  # further ones, see `Sandbox.mint`
    latency: float = 0.0
    wrap_me: bool = False
    require_proof: bool = False

    @classmethod
    def of(cls, given: dict[str, Any]) -> Scenario:
        """Read a scenario, refusing what would silently do nothing."""
        _check("a scenario", given, cls)
        scenario = cls(**given)
        _check("a world", scenario.world, Options)
        _check("usage", scenario.usage, Usage)
        for throttle in scenario.throttles:
            _check("a throttle", throttle, Throttle)
        for fault in scenario.faults:
            Fault.of(fault)
        return scenario

    @classmethod
    def read(cls, path: Path) -> Scenario:
        """Read the scenario in a file."""
        return cls.of(json.loads(path.read_text(encoding="utf-8")))


def _check(what: str, given: Any, kind: type[Any]) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"There is no {what} in {json.dumps(given)}: it is a JSON object.")  # noqa: TRY004 - of the user
    known = sorted(item.name for item in fields(kind) if item.init)
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"Unknown keys in {what}: {', '.join(unknown)}. Known: {', '.join(known)}.")
