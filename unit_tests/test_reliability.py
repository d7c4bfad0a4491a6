"""The table of trouble in `bench/cases.py`, in this process for speed; killed syncs alone are processes."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from unittest import mock

import harness
import pytest

from bench.cases import WORLD, cases
from bench.reliability import Bench, Output, run_process, the_present
from sandbox import Options, World

NAMES = [case.name for case in cases(World(Options(**WORLD)))]


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


@pytest.mark.parametrize("at", range(len(NAMES)), ids=NAMES)
def test_ends_as_it_must(trouble: Bench, at: int) -> None:
    assert not trouble.row(at).problems
