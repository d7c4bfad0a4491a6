"""The table of trouble in `bench/cases.py`, in this process for speed; killed syncs alone are processes.

Each third kind of trouble strikes one of its streams here, each time another one; the others are among the slow tests.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from unittest import mock

import harness
import pytest

from bench.cases import WORLD, Case, cases
from bench.reliability import Bench, Output, run_process, the_present
from sandbox import Options, World

EACH = 3


def representatives(table: Sequence[Case]) -> set[int]:
    """One case of each third kind of trouble, not always of the same stream."""
    alike: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for at, case in enumerate(table):
        alike[case.group, case.fault].append(at)
    return {each[number % len(each)] for number, each in enumerate(alike.values()) if number % EACH == 0}


CASES = cases(World(Options(**WORLD)))
QUICK = representatives(CASES)


def run_inside(arguments: Sequence[str], env: Mapping[str, str], enough: Callable[[str], bool] | None = None) -> Output:
    """The same command line without a new process, unless it is to be killed."""
    if enough:
        return run_process(arguments, env, enough)
    tempo = float(env.get("SOURCE_INSTAGRAM_TEMPO", "1"))
    waiting = [module for name, module in sys.modules.items() if name.startswith("source_instagram.")]
    with ExitStack() as stack:
        for module in waiting:
            if hasattr(module, "TEMPO"):  # each has its own, taken from the environment when it was loaded
                stack.enter_context(mock.patch.object(module, "TEMPO", tempo))
        return Output.of(lambda: harness._in_process([*arguments], env))


@pytest.fixture(scope="session")
def trouble() -> Iterator[Bench]:
    bench = Bench(the_present(), run_inside, timed=False)
    yield bench
    bench.close()


@pytest.mark.parametrize(
    "at",
    [pytest.param(at, id=case.name, marks=() if at in QUICK else pytest.mark.slow) for at, case in enumerate(CASES)],
)
def test_ends_as_it_must(trouble: Bench, at: int) -> None:
    assert not trouble.row(at).problems
