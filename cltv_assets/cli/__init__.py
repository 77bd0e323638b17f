"""The ``cltv`` command line.

Exit codes: 0 all is well, 1 a month failed or is not in order, 2 the command or
the configuration is wrong, 3 the source, 4 the lake, 5 a model, 70 a fault of
ours. Errors are one paragraph; ``--debug`` adds the traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cltv_assets.cli.app import app
from cltv_assets.errors import CltvError

__all__ = ["main", "model_main", "preprocess_main"]

_OUR_FAULT = 70


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``cltv``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or bool(os.environ.get("CLTV_DEBUG"))
    given = [argument for argument in given if argument != "--debug"]
    try:
        app(args=given, prog_name="cltv")
    except CltvError as error:
        _stop(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        _stop("Stopped. Months that were published stay; the one under way was not.", 130, debug=False)
    except Exception as error:
        _stop(f"Something unforeseen went wrong: {type(error).__name__}: {error}", _OUR_FAULT, debug)


def preprocess_main() -> None:
    """Run ``cltv preprocess``, as its own command."""
    _half("preprocess")


def model_main() -> None:
    """Run ``cltv model``, as its own command."""
    _half("model")


def _half(command: str) -> None:
    try:
        main([command, *sys.argv[1:]])
    except SystemExit as end:
        # Where a job's runner calls these functions, even an exit with 0 may count as a failure.
        if end.code:
            raise


def _stop(message: str, code: int, debug: bool) -> None:
    if debug:
        raise
    hint = " Add --debug for the traceback." if code == _OUR_FAULT else ""
    sys.stderr.write(f"cltv: {message}{hint}\n")
    raise SystemExit(code)
