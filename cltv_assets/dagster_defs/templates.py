"""Settings whose templates Dagster renders, for the command line and the code location."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cltv_assets import settings
from cltv_assets.settings import Settings
from cltv_assets.settings.component_file import Render, TemplateError, project_root

if TYPE_CHECKING:
    import dagster as dg

_NOT_SET = re.compile(r"Environment variable (\w+) is not set")


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


def template_renderer(file: Path, number: int) -> Render:
    """Return a function that renders a template as Dagster does when it loads a component.

    Most templates name what Dagster always has. Only for others, the project's own template variables, is the project
    looked for and imported.

    Parameters
    ----------
    file : Path
        The component's file.
    number : int
        Which of the file's documents it is, from 0.
    """

    @cache
    def of_project() -> dg.ResolutionContext:
        # Imported only when a template needs it: `cltv constraints` and other commands work without Dagster.
        from cltv_assets.dagster_defs.instance_state import scope_of_component

        return scope_of_component(file, number)

    def render(text: str) -> Any:
        import dagster as dg

        root = project_root(file.parent)
        always = in_project(dg.ResolutionContext.default(), root)
        unknown = _names(text) - set(always.scope)
        if not unknown:
            return rendering(always)(text)
        try:
            own = in_project(of_project(), root)
        # The project is imported, and may fail in any way.
        except Exception as error:
            fault = TemplateError(
                f"{_listed(unknown)} is no variable of Dagster's, and the project of this file, which may define it, "
                f"cannot be loaded ({type(error).__name__}); `pip install -e .` in {root} if it is not installed, "
                "and see what `dg check defs` says"
            )
        else:
            return rendering(own)(text)
        raise fault

    return render


def in_project(context: dg.ResolutionContext, root: Path) -> dg.ResolutionContext:
    """Return what templates see, with ``context.project_root``."""
    return context.with_scope(context=SimpleNamespace(project_root=str(root.resolve())))


def rendering(context: dg.ResolutionContext) -> Render:
    """Return a function that renders a template by Dagster's own resolver.

    Dagster puts nothing for a name that it does not know and ``None`` for a variable that is not set where more text
    stands beside the template: a folder of another name. Here both are refused.
    """

    def render(text: str) -> Any:
        if unknown := _names(text) - set(context.scope):
            raise TemplateError(f"{_listed(unknown)} is not defined here; defined are {', '.join(context.scope)}")
        for name in _shown_variables(text):
            if name not in os.environ:
                raise TemplateError(f"the variable {name} is not set")
        try:
            return context.resolve_value(text)
        # A template may call functions, and they may fail with errors of any type that quote what they were given.
        except Exception as error:
            missing = _NOT_SET.match(str(error))
            if missing and missing[1] in text:
                fault = TemplateError(f"the variable {missing[1]} is not set")
            else:
                fault = TemplateError(f"it ends with {type(error.__context__ or error).__name__}")
        raise fault

    return render


def _names(text: str) -> set[str]:
    """Return the names that a template takes from its surroundings."""
    from jinja2 import meta
    from jinja2.defaults import DEFAULT_NAMESPACE

    return set(meta.find_undeclared_variables(_parsed(text))) - set(DEFAULT_NAMESPACE)


def _shown_variables(text: str) -> list[str]:
    """Return the environment variables that stand in a template as they are: not in a condition or a call."""
    from jinja2 import nodes

    return [
        node.attr
        for output in _parsed(text).find_all(nodes.Output)
        for node in output.nodes
        if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "env"
    ]


def _parsed(text: str) -> Any:
    from jinja2 import Environment, TemplateSyntaxError

    try:
        # It is parsed to look at its names, and rendered by Dagster.
        return Environment().parse(text)  # noqa: S701
    except TemplateSyntaxError as error:
        fault = TemplateError(f"it is no template ({error.message})")
    raise fault


def _listed(names: Collection[str]) -> str:
    return " or ".join(f"'{name}'" for name in sorted(names))
