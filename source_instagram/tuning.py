"""How the process of a sync handles memory: large answers are made and dropped in many threads at once."""

import contextlib
import ctypes
import gc

# <malloc.h> of the GNU C library; others have no `mallopt`, or pass over what they do not know.
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
LARGE = 64 * 1024  # bytes: what is larger goes back to the system as soon as it is dropped
ARENAS = 1  # without it eight for each core, each of which keeps the most that its threads ever needed
OFTEN = 10_000  # objects more than before; without it 700


def keep_little() -> None:
    """Keep little memory that is not in use any more."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, ARENAS)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def look_seldom() -> None:
    """Look for cycles among objects seldom: an answer is thousands of them, none of which is in one."""
    gc.freeze()  # what is there by now stays
    gc.set_threshold(OFTEN, *gc.get_threshold()[1:])
