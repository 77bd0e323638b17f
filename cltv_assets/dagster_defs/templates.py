"""Settings whose templates Dagster renders, for the command line and the code location."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cltv_assets import settings
from cltv_assets.settings import Settings


def load_settings(config: str | os.PathLike[str] | None = None) -> Settings:
    """Read settings as `cltv_assets.settings.load_settings` does, and render the templates of a ``defs.yaml``.

    Parameters
    ----------
    config : path, optional
        The file; by default ``$CLTV_CONFIG``, else ``cltv.yaml`` in the current folder, else the demo's settings.

    Raises
    ------
    ConfigError
        If a file cannot be read or any setting is wrong.
    """
    return settings.load_settings(config, renderer=template_renderer)


def template_renderer(project_root: Path) -> Callable[[str], Any]:
    """Return a function that renders a template as Dagster does when it loads a component.

    Parameters
    ----------
    project_root : Path
        What ``{{ context.project_root }}`` stands for.
    """

    def render(text: str) -> Any:
        # Imported only when a template needs it: `cltv constraints` and other commands work without Dagster.
        import dagster as dg

        context = SimpleNamespace(project_root=str(project_root))
        return dg.ResolutionContext.default().with_scope(context=context).resolve_value(text)

    return render
