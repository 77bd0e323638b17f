"""Builds deploy/Dockerfile without an engine: its steps in their order, in a scratch root.

Usage, as root: ``python -m cltv_assets_tests.delivery.image_build TARGET FOLDER [NAME=VALUE …]``

The base is Debian with Debian's Python in the place of the official Python image, which no
package registry has: the same release of Debian, the same minor version of Python. Each stage is
a layer over its base. What an engine would refuse is refused: a COPY of what the context lacks, a
step that fails, a variable that is not set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cltv_assets_tests.delivery.dockerfile import (
    BuildError,
    Context,
    Instruction,
    Stage,
    argument,
    expand,
    listed,
    pairs,
    parse,
)
from cltv_assets_tests.delivery.image_root import inside, mounted, overlay, pip_surroundings

ROOT = Path(__file__).parents[2]
#: What mmdebstrap makes of these takes the place of the image of Python. ``apt`` is in the official one, too, and
#: brings libstdc++; pip and venv belong to Python there.
BASE_PACKAGES = ("apt", "ca-certificates", "netbase", "passwd", "python3", "python3-venv", "tzdata")
#: Target of a cache mount to a folder of this machine, so that what is there is not fetched again.
CACHES = {"/var/cache/spark-jars": ROOT / ".cache/spark-jars"}


@dataclass(frozen=True)
class Image:
    """What a stage came to: its layers, topmost first, and what its containers begin with."""

    layers: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/"
    entrypoint: tuple[str, ...] = ()


def base_root(cache: Path) -> Path:
    """Return the folder of the base, made the first time (about a minute)."""
    made = cache / "image-base-bookworm"
    if made.exists():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    fresh = cache / f"image-base.{os.getpid()}"
    command = ["mmdebstrap", "--mode=root", "--variant=essential", f"--include={','.join(BASE_PACKAGES)}"]
    # The slim images leave these out, too.
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")]
    subprocess.run([*command, "bookworm", fresh], check=True)
    for name in ("python", "python3"):
        (fresh / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
    fresh.rename(made)
    return made


class Builder:
    """Builds stages into layers below a folder.

    Parameters
    ----------
    context : Context
    folder : Path
        Empty.
    base : Path
        Stands for every image that is no stage.
    given : dict of str to str
        Build arguments.
    """

    def __init__(self, context: Context, folder: Path, base: Path, given: dict[str, str]) -> None:
        self.context, self.folder, self.base, self.given = context, folder, base, given
        self.built: dict[str, Image] = {}

    def build(self, text: str, target: str) -> Image:
        """Build the stages that a target needs, in the file's order, and return it."""
        file = parse(text)
        if target not in file.stages:
            raise BuildError(f"no stage {target}")
        needed = {target}
        for name, stage in reversed(file.stages.items()):
            if name in needed:
                needed |= {
                    stage.base,
                    *(value for step in stage.instructions for key, value in step.flags if key == "from"),
                }
        for name, stage in file.stages.items():
            if name in needed:
                self.built[name] = self._stage(stage)
        return self.built[target]

    def _stage(self, stage: Stage) -> Image:
        base = self.built.get(stage.base)
        if base is None:
            base = Image((str(self.base),), {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"})
        layer, work, root = (self.folder / kind / stage.name for kind in ("layers", "work", "roots"))
        for made in (layer, work, root):
            made.mkdir(parents=True)
        overlay(root, list(map(Path, base.layers)), layer, work)
        image, arguments = replace(base, layers=(str(layer), *base.layers)), {}
        for step in stage.instructions:
            sys.stdout.write(f"[{stage.name}] {step.keyword} {step.value}\n")
            sys.stdout.flush()
            try:
                image, arguments = self._step(root, image, arguments, step)
            except BuildError as error:
                raise BuildError(f"line {step.line}, stage {stage.name}: {error}") from None
        return image

    def _step(
        self, root: Path, image: Image, arguments: dict[str, str], step: Instruction
    ) -> tuple[Image, dict[str, str]]:
        variables = arguments | image.environment
        flags = dict(step.flags)
        match step.keyword:
            case "ARG":
                arguments = arguments | argument(step.value, self.given, {})
            case "ENV":
                image = replace(image, environment=image.environment | pairs(step.value, variables))
            case "LABEL":
                image = replace(image, labels=image.labels | pairs(step.value, variables))
            case "USER":
                image = replace(image, user=expand(step.value, variables))
            case "ENTRYPOINT":
                image = replace(image, entrypoint=tuple(listed(step.value)))
            case "WORKDIR":
                image = replace(image, folder=expand(step.value, variables))
                (root / image.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(root, image, [expand(word, variables) for word in step.value.split()], flags)
            case "RUN":
                self._run(root, image, variables, step)
            case _:
                raise BuildError(f"{step.keyword} is not known")
        return image, arguments

    def _run(self, root: Path, image: Image, variables: dict[str, str], step: Instruction) -> None:
        surroundings, binds = pip_surroundings()
        for key, value in step.flags:
            options = dict(part.split("=", 1) for part in value.split(","))
            if key != "mount" or options.get("type") != "cache" or options["target"] not in CACHES:
                raise BuildError(f"RUN --{key}={value} is not known")
            CACHES[options["target"]].mkdir(parents=True, exist_ok=True)
            binds[options["target"]] = CACHES[options["target"]]
        with mounted(root, binds, {}):
            command = ["/bin/sh", "-c", step.value]
            code = inside(root, command, image.user, image.folder, surroundings | variables, network=True)
        if code:
            raise BuildError(f"RUN ended with {code}: {step.value}")

    def _copy(self, root: Path, image: Image, words: list[str], flags: dict[str, str]) -> None:
        *sources, target = words
        place = root / (target if target.startswith("/") else f"{image.folder}/{target}").lstrip("/")
        if len(sources) > 1 and not target.endswith("/"):
            raise BuildError("COPY of several sources needs a folder, with a slash at its end")
        mode = int(flags["chmod"], 8) if "chmod" in flags else None
        if unknown := flags.keys() - {"from", "chmod"}:
            raise BuildError(f"COPY --{unknown.pop()} is not known")
        for source in sources:
            if "from" in flags:
                found = self.folder / "roots" / flags["from"] / source.lstrip("/")
                if not found.is_dir():
                    raise BuildError(f"COPY --from={flags['from']} {source}: no such folder")
                place.parent.mkdir(parents=True, exist_ok=True)
                # As an engine does: links stay links, and everything belongs to root.
                subprocess.run(["cp", "-a", "--no-preserve=ownership", found, place], check=True)
                continue
            whole = (self.context.root / source).is_dir()
            for name, path in self.context.files(source).items():
                to = place / name if whole or target.endswith("/") or place.is_dir() else place
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, to)
                to.chmod(path.stat().st_mode & 0o777 if mode is None else mode)


def main(target: str, folder: str, *given: str) -> None:
    """Build a target of deploy/Dockerfile and describe it in ``image.json``."""
    place = Path(folder)
    context = Context(ROOT, (ROOT / "deploy/Dockerfile.dockerignore").read_text())
    builder = Builder(context, place, base_root(ROOT / ".cache"), dict(word.split("=", 1) for word in given))
    try:
        image = builder.build((ROOT / "deploy/Dockerfile").read_text(), target)
    except BuildError as error:
        sys.exit(f"deploy/Dockerfile, {error}")
    (place / "image.json").write_text(json.dumps(asdict(image)))


if __name__ == "__main__":
    main(*sys.argv[1:])
