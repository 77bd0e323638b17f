"""A value that must not be shown, looked for in all that an error tells."""

from __future__ import annotations

import traceback


def assert_hides(canary: str, error: BaseException) -> None:
    """Look for the canary in an error, in what Python prints of it, and in the errors that it hangs on to."""
    told = ["".join(traceback.format_exception(error))]
    link: BaseException | None = error
    while link is not None:
        told += [str(link), repr(link), *map(str, getattr(link, "__notes__", ()))]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for text in told:
        assert canary not in text, text
