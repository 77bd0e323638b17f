"""Settings of a component: the ``attributes`` of a ``defs.yaml``.

The keys are those of ``cltv.yaml``. Strings may hold Dagster's templates, such as
``{{ env.ACME_LAKE }}`` and ``{{ context.project_root }}``. ``CLTV_*`` variables are
ignored here, because they would change every brand of a deployment. No message shows what
a template became: it may be a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cltv_assets.errors import ConfigError
from cltv_assets.settings.deprecations import with_new_names
from cltv_assets.settings.model import Settings
from cltv_assets.settings.validating import validated
from cltv_assets.settings.yaml_file import FromEnvironment, Places, read_documents, shorter

#: Files in which Dagster's components keep their settings, under `attributes`.
COMPONENT_FILES = ("defs.yaml", "defs.yml")
#: The component's name in ``type``, after its module; the name of a subclass ends so.
COMPONENT = "CltvComponent"
#: Attributes that are no settings: they change what Dagster shows and how it runs, and Dagster resolves them.
FOR_DAGSTER = ("translation", "op", "executor")
_ATTRIBUTES = "attributes"

#: What Jinja takes for a template: ``{{ … }}`` and ``{% … %}``.
_TEMPLATE = re.compile(r"\{\{|\{%.*%\}", re.DOTALL)

#: Renders one template, or raises a `TemplateError`.
Render = Callable[[str], Any]
#: Takes a component's file and the number of its document there, from 0.
Renderer = Callable[[Path, int], Render]


class TemplateError(Exception):
    """Why a template cannot be rendered, without any value that it has."""


def component_settings(attributes: Mapping[str, Any], path: Path, places: Places, render: Render) -> Settings:
    """Return the settings of a component.

    Parameters
    ----------
    attributes : mapping
        As the file has them, with templates.
    path : Path
        The component's file. Relative paths start from its folder, and the folder's name is the
        default of ``asset_prefix``.
    places : mapping
        Where each key below ``attributes`` is.
    render : callable
        Renders one template.

    Raises
    ------
    ConfigError
        If a setting or template is wrong. The message names file, line and remedy.
    """
    folder = path.resolve().parent
    settings = {key: value for key, value in attributes.items() if key not in FOR_DAGSTER}
    values = _rendered(settings, (), path, places, render)
    values.setdefault("asset_prefix", prefix_for(folder))
    with_new_names(values, places)
    return validated({**values, "home": folder}, path, places)


def settings_of_component_file(path: Path, renderer: Renderer | None) -> Settings:
    """Return the settings of the component in a ``defs.yaml``, for the command line.

    Parameters
    ----------
    path : Path
        The file.
    renderer : callable or None
        Renders the templates in it; without one a template is refused.

    Raises
    ------
    ConfigError
        If the file holds no such component or several, or a setting is wrong.
    """
    found = [
        (number, values, places)
        for number, (values, places) in enumerate(read_documents(path))
        if isinstance(values, dict) and str(values.get("type", "")).endswith(COMPONENT)
    ]
    if len(found) != 1:
        raise ConfigError(
            f"{path} holds {len(found) or 'no'} component{'s' if found else ''} of type cltv_assets.{COMPONENT}.",
            "Name a file that holds one.",
        )
    number, values, places = found[0]
    attributes = values.get(_ATTRIBUTES) or {}
    if not isinstance(attributes, dict):
        raise ConfigError(f"{path}: attributes holds no settings.", "Write 'key: value' lines below it.")
    inner = {keys[1:]: where for keys, where in places.items() if keys[0] == _ATTRIBUTES and len(keys) > 1}
    render = renderer(path.resolve(), number) if renderer else _refuse
    return component_settings(attributes, path, inner, render)


def prefix_for(folder: Path) -> str:
    """Return the prefix that a component gets from its folder: the folder's name, as an identifier."""
    name = re.sub(r"\W", "_", folder.name, flags=re.ASCII)
    return f"_{name}" if name[:1].isdigit() else name


def project_root(folder: Path) -> Path:
    """Return the nearest folder from here upwards that has a ``pyproject.toml``, else this one."""
    return next((above for above in (folder, *folder.parents) if (above / "pyproject.toml").is_file()), folder)


def _refuse(_template: str) -> Any:
    raise TemplateError("only Dagster renders templates, see cltv_assets.dagster_defs.templates")


def _rendered(value: Any, at: tuple[str, ...], path: Path, places: Places, render: Render) -> Any:
    if isinstance(value, Mapping):
        return {key: _rendered(inner, (*at, str(key)), path, places, render) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rendered(inner, at, path, places, render) for inner in value]
    # Only templates are rendered: Jinja would read other text as Python where it can, and '7' as a number.
    if not isinstance(value, str) or not _TEMPLATE.search(value):
        return value
    places[at] = FromEnvironment(places.get(at, path))
    reason = "what it names is not set"
    try:
        rendered = render(value)
        if rendered is not None:
            return rendered
    except TemplateError as fault:
        reason = str(fault)
    raise ConfigError(
        f"{places[at]}: {'.'.join(at)}: {shorter(value)} cannot be rendered: {shorter(reason)}.",
        "Set the variable that it names, or mend the template.",
    )
