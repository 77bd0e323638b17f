"""Settings of a component: the ``attributes`` of a ``defs.yaml``.

The keys are those of ``cltv.yaml``. Strings may hold Dagster's templates, such as
``{{ env.ACME_LAKE }}`` and ``{{ context.project_root }}``. ``CLTV_*`` variables do not
count here: they would reach every brand of a deployment alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cltv_assets.errors import ConfigError
from cltv_assets.settings.deprecations import with_new_names
from cltv_assets.settings.file import read_documents, validated
from cltv_assets.settings.model import Settings

#: What a component is named by in ``type``, after its module.
COMPONENT = "CltvComponent"
_ATTRIBUTES = "attributes"


def component_settings(
    attributes: Mapping[str, Any], path: Path, lines: Mapping[tuple[str, ...], int], render: Callable[[str], Any]
) -> Settings:
    """Return the settings of a component.

    Parameters
    ----------
    attributes : mapping
        As written.
    path : Path
        Its file. Relative paths start from its folder, and the folder names the graph where ``asset_prefix`` does not.
    lines : mapping
        The line of each key below ``attributes``.
    render : callable
        Renders one template.

    Raises
    ------
    ConfigError
        If a setting or template is wrong, naming file, line and remedy.
    """
    folder = path.resolve().parent
    values = _rendered(attributes, (), path, lines, render)
    values.setdefault("asset_prefix", prefix_for(folder))
    places = {keys: f"{path}, line {line}" for keys, line in lines.items()}
    with_new_names(values, places)
    return validated({**values, "home": folder}, path, places)


def settings_of_component_file(path: Path) -> Settings:
    """Return the settings of the component in a ``defs.yaml``, for the command line.

    Raises
    ------
    ConfigError
        If the file holds no such component or several, or a setting is wrong.
    """
    found = [
        (values, lines)
        for values, lines in read_documents(path)
        if isinstance(values, dict) and str(values.get("type", "")).rpartition(".")[2] == COMPONENT
    ]
    if len(found) != 1:
        raise ConfigError(
            f"{path} holds {len(found) or 'no'} component{'s' if found else ''} of type cltv_assets.{COMPONENT}.",
            "Name a file that holds one.",
        )
    values, lines = found[0]
    attributes = values.get(_ATTRIBUTES) or {}
    if not isinstance(attributes, dict):
        raise ConfigError(f"{path}: attributes holds no settings.", "Write 'key: value' lines below it.")
    inner = {keys[1:]: line for keys, line in lines.items() if keys[0] == _ATTRIBUTES and len(keys) > 1}
    return component_settings(attributes, path, inner, _renderer(path))


def prefix_for(folder: Path) -> str:
    """Return the prefix that a component's folder stands for: its name, as an identifier."""
    name = re.sub(r"\W", "_", folder.name, flags=re.ASCII)
    return f"_{name}" if name[:1].isdigit() else name


def project_root(folder: Path) -> Path:
    """Return the nearest folder from here upwards that has a ``pyproject.toml``, else this one."""
    return next((above for above in (folder, *folder.parents) if (above / "pyproject.toml").is_file()), folder)


def _renderer(path: Path) -> Callable[[str], Any]:
    """Return what renders a template as Dagster does when it loads the component."""

    def render(text: str) -> Any:
        import dagster as dg

        root = SimpleNamespace(project_root=str(project_root(path.resolve().parent)))
        return dg.ResolutionContext.default().with_scope(context=root).resolve_value(text)

    return render


def _rendered(
    value: Any, at: tuple[str, ...], path: Path, lines: Mapping[tuple[str, ...], int], render: Callable[[str], Any]
) -> Any:
    if isinstance(value, Mapping):
        return {key: _rendered(inner, (*at, str(key)), path, lines, render) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rendered(inner, at, path, lines, render) for inner in value]
    # Only what is a template: Jinja would read other text as Python where it can, '7' as a number.
    if not isinstance(value, str) or "{{" not in value:
        return value
    reason = "what it names is not set"
    try:
        rendered = render(value)
        if rendered is not None:
            return rendered
    except Exception as error:
        # Whatever the template called may fail in ways of its own.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    where = f"{path}, line {lines[at]}" if at in lines else str(path)
    raise ConfigError(
        f"{where}: {'.'.join(at)}: {value} cannot be rendered: {reason}.",
        "Set the variable that it names, or mend the template.",
    )
