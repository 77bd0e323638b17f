"""The persistent Dagster instance of the command line: the one that the UI shows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import dagster as dg

from cltv_assets.dagster_defs.instance_state import calm_sqlite
from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.settings.component_file import COMPONENT_FILES, project_root

#: The ``dagster.yaml`` of a new instance; ``deploy/dagster.yaml`` is the same.
_INSTANCE_YAML = "instance.yaml"


def dagster_home(settings: Settings) -> Path:
    """Return ``$DAGSTER_HOME``, else ``.dagster`` beside the configuration; for a component, in its project's root."""
    named = os.environ.get("DAGSTER_HOME")
    is_component = any((settings.home / name).is_file() for name in COMPONENT_FILES)
    beside = project_root(settings.home) if is_component else settings.home
    return (Path(named).expanduser() if named else beside / ".dagster").resolve()


def prepare_home(home: Path) -> None:
    """Make the instance's folder and its ``dagster.yaml`` if they are missing.

    Raises
    ------
    ConfigError
        If the folder cannot be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").write_bytes(resources.files("cltv_assets").joinpath(_INSTANCE_YAML).read_bytes())
    except OSError as error:
        raise ConfigError(
            f"Dagster's folder {home} cannot be written: {error.strerror}.", "Set DAGSTER_HOME to a folder that can."
        ) from None


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the persistent instance; make it if there is none.

    Raises
    ------
    ConfigError
        If its folder cannot be made.
    """
    home = dagster_home(settings)
    prepare_home(home)
    # Dagster also reads the variable itself, for example for compute logs.
    os.environ["DAGSTER_HOME"] = str(home)
    with calm_sqlite(), dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance
