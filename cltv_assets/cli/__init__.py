"""The ``cltv`` command line.

Exit codes: 0 all is well, 1 a month failed or is not in order, 2 the command or
the configuration is wrong, 3 the source, or ``cltv status`` cannot know, 4 the lake, 5 a model, 6 the engine,
7 a process was killed, 70 a bug in this package. Errors are one paragraph; ``--debug`` adds the traceback. Every
command takes ``--environment NAME``, which sets the variable ``CLTV_ENVIRONMENT``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from cltv_assets.cli.app import app
from cltv_assets.errors import CltvError, ConfigError
from cltv_assets.foreign import visible_lines, without_credentials
from cltv_assets.settings import deprecations
from cltv_assets.settings.deprecations import CltvDeprecation
from cltv_assets.settings.file import DEBUG_VARIABLE
from cltv_assets.settings.layers import ENVIRONMENT_VARIABLE, ENVIRONMENTS

__all__ = ["main", "model_main", "preprocess_main"]

_OUR_FAULT = 70


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``cltv``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or bool(os.environ.get(DEBUG_VARIABLE))
    given = [argument for argument in given if argument != "--debug"]
    try:
        given, environment = _without_environment(given)
        with (
            _variable(ENVIRONMENT_VARIABLE, environment),
            _variable(DEBUG_VARIABLE, "1" if debug else None),
            _deprecations_on_stderr(),
        ):
            app(args=_with_new_command(given), prog_name="cltv")
    except CltvError as error:
        _stop(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        _stop("Stopped. Months that were published stay; the one under way was not.", 130, debug=False)
    except Exception as error:
        told = without_credentials(str(error))
        _stop(f"Something unforeseen went wrong: {type(error).__name__}: {told}", _OUR_FAULT, debug)


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
        # A service that calls these functions may count even an exit with 0 as a failure.
        if end.code:
            raise


def _stop(message: str, code: int, debug: bool) -> None:
    if debug:
        raise
    hint = " Add --debug for the traceback." if code == _OUR_FAULT else ""
    sys.stderr.write(f"cltv: {visible_lines(message)}{hint}\n")
    raise SystemExit(code)


def _without_environment(given: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the arguments without ``--environment NAME``, and the name.

    Raises
    ------
    ConfigError
        If no name follows.
    """
    left, name = [], None
    arguments = iter(given)
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if option != "--environment":
            left.append(argument)
            continue
        name = value if equals else next(arguments, "")
        if not name or name.startswith("-"):
            raise ConfigError("--environment names no environment.", f"Give one of {', '.join(ENVIRONMENTS)}.")
    return left, name


@contextlib.contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """Set a variable while a command runs, for this process and those that it starts."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


def _with_new_command(given: Sequence[str]) -> list[str]:
    """Return the arguments with a command's new name in place of its old one."""
    for entry in deprecations.RENAMED_COMMANDS:
        if given and given[0] == entry.old:
            entry.warn()
            return [entry.new, *given[1:]]
    return list(given)


@contextlib.contextmanager
def _deprecations_on_stderr() -> Iterator[None]:
    """Print a line once for each deprecated name that is used; Python would hide the warning from users."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", CltvDeprecation)
        show, shown = warnings.showwarning, set[str]()

        def show_once(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
            if not issubclass(category, CltvDeprecation):
                show(message, category, *place, **more)  # type: ignore[arg-type]
            elif str(message) not in shown:
                shown.add(str(message))
                sys.stderr.write(f"cltv: deprecated: {message}\n")

        warnings.showwarning = show_once
        yield
