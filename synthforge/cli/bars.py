"""One progress bar for all commands, as the callback that library functions take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def bar(unit: str, label: str | None = None, **options: Any) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left, as a function of (things done, things wanted).

    Things done at the first call were there before: they have no rate. Nor have the first ones made, which
    wait for what is loaded and compiled once: an estimate is shown from the second call with new ones on.
    """
    from tqdm import tqdm

    shown: tqdm | None = None
    before: int | None = None  # none once the estimate runs

    def progress(done: int, wanted: int) -> None:
        nonlocal shown, before
        if shown is None:
            how: dict[str, Any] = {"dynamic_ncols": True, "smoothing": 0.1} | options
            before = done
            shown = tqdm(total=wanted, initial=done, unit=unit, desc=label, **how)
        shown.total = wanted
        if before is None:
            shown.update(done - shown.n)
        elif done > before:
            before = None
            shown.initial = shown.n = shown.last_print_n = done
            shown.start_t = shown.last_print_t = time.time()
            shown.refresh()

    try:
        yield progress
    finally:
        if shown is not None:
            shown.close()
