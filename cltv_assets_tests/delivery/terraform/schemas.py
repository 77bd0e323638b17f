"""The providers' schemas, read from the packages that the Cloud Development Kit for Terraform generates from them.

Such a package holds, for each resource, declarations in TypeScript (an attribute's name and type, and whether it may
be left out) and JavaScript (whether a block is a list or a set, and what the provider computes). Only the folders of
the types that are asked for are read: all of AWS is hundreds of megabytes of text.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Provider to the package that holds its schemas.
PACKAGES = {"aws": "cdktf_cdktf_provider_aws", "databricks": "cdktf_cdktf_provider_databricks"}

#: Attributes that may be set and are computed where they are not. The packages do not tell these from optional ones; a
#: reference to one that is missing here is null, and fails.
ALSO_COMPUTED = {"application_id", "id", "external_id", "unity_catalog_iam_arn"}

_INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_PROPERTY = re.compile(
    r"/\*\*\n(?P<doc>.*?)\*/\n\s+readonly \w+(?P<optional>\??): (?P<type>\{.*?\}[^;]*|[^;{]*);\n", re.DOTALL
)
_LINK = re.compile(r"\{@link [^}\s]*#(\w+) \w+#\w+\}")
_CLASS = re.compile(r"^class (\w+) extends cdktf\.(\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_COMPUTED = re.compile(
    r"// (\w+) - computed: true, [^\n]*\n\s+get \w+\(\) \{\n\s+return (?:cdktf\.Fn\.tolist\()?this\.get(\w+)Attribute\("
)
_BLOCK_KIND = re.compile(
    r"^\s+(\w+): \{\n[^\n]*\n\s+isBlock: true,\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\"", re.MULTILINE
)
_VERSION = re.compile(r"providerVersion: '([^']+)'")

_COMPUTED_TYPES: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "StringMap": ["map", "string"],
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
}


@dataclass
class Block:
    """A block's attributes (name to type and what it may be) and blocks (name to nesting, bounds and content)."""

    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what ``block_from`` reads."""
        blocks = {name: nested | {"block": nested["block"].as_json()} for name, nested in self.blocks.items()}
        return {"attributes": self.attributes, "blocks": blocks}


@dataclass
class Provider:
    """A provider's version and what it knows."""

    version: str
    config: Block
    resources: dict[str, Block]
    data_sources: dict[str, Block]


def read_provider(
    provider: str, site_packages: Path, resources: Iterable[str], data_sources: Iterable[str]
) -> Provider:
    """Return the schemas of some types.

    Parameters
    ----------
    provider : str
        ``'aws'`` or ``'databricks'``.
    site_packages : Path
        Where the packages are installed.
    resources, data_sources : iterable of str
        Types such as ``aws_iam_role``. One that the provider does not know is left out: Terraform then says so.
    """
    (archive,) = (site_packages / PACKAGES[provider] / "_jsii").glob("*.tgz")
    wanted = {"provider": "provider"}
    wanted |= {_folder(provider, name): f"resource {name}" for name in resources}
    wanted |= {f"data-{provider}-{_folder(provider, name)}": f"data {name}" for name in data_sources}
    texts = _texts(archive, set(wanted))
    read = {wanted[folder]: _read(declared, code) for folder, (declared, code) in texts.items()}
    version = _VERSION.search("".join(code for _, code in texts.values()))
    return Provider(
        version.group(1) if version else "",
        read["provider"],
        {name.removeprefix("resource "): block for name, block in read.items() if name.startswith("resource ")},
        {name.removeprefix("data "): block for name, block in read.items() if name.startswith("data ")},
    )


def _folder(provider: str, name: str) -> str:
    return name.removeprefix(f"{provider}_").replace("_", "-")


def _texts(archive: Path, folders: set[str]) -> dict[str, tuple[str, str]]:
    """Return declarations and code of each folder that there is."""
    found: dict[str, tuple[str, str]] = {}
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            parts = member.name.split("/")
            if len(parts) < 4 or parts[1] != "lib" or parts[2] not in folders:
                continue
            declared, code = found.get(parts[2], ("", ""))
            content = members.extractfile(member)
            assert content is not None
            text = content.read().decode()
            if member.name.endswith(".d.ts"):
                found[parts[2]] = (declared + text, code)
            elif member.name.endswith(".js"):
                found[parts[2]] = (declared, code + text)
    return found


def _read(declared: str, code: str) -> Block:
    interfaces = dict(_INTERFACE.findall(declared))
    computed: dict[str, dict[str, Any]] = {}
    name = None
    for own, kind, body in _CLASS.findall(code):
        names = {
            attribute: {"type": _COMPUTED_TYPES[type_], "computed": True}
            for attribute, type_ in _COMPUTED.findall(body)
            if type_ in _COMPUTED_TYPES
        }
        computed[own.removesuffix("OutputReference")] = names
        if kind in ("TerraformResource", "TerraformDataSource", "TerraformProvider"):
            name = own
    assert name is not None
    sets = {storage.removesuffix("List") for _, kind, storage in _BLOCK_KIND.findall(code) if kind == "set"}
    singles = {storage for _, kind, storage in _BLOCK_KIND.findall(code) if kind == "struct"}
    whole = _Whole(interfaces, computed, sets, singles)
    return whole.block(f"{name}Config", computed[name])


@dataclass
class _Whole:
    interfaces: dict[str, str]
    computed: dict[str, dict[str, Any]]
    sets: set[str]
    singles: set[str]

    def block(self, interface: str, computed: dict[str, Any]) -> Block:
        """Return what an interface declares."""
        block = Block(dict(computed))
        for found in _PROPERTY.finditer(self.interfaces[interface]):
            link = _LINK.search(found["doc"])
            if link is None or link.group(1) == "alias":
                continue  # the package's own, not the provider's
            name, type_, optional = link.group(1), found["type"], bool(found["optional"])
            if re.search(rf"\* {name} block\n", found["doc"]):
                block.blocks[name] = self.nested(type_, optional)
            else:
                also = optional and name in ALSO_COMPUTED
                block.attributes[name] = {
                    "type": self.type_of(type_),
                    "optional": optional,
                    "required": not optional,
                    "computed": also,
                }
        return block

    def nested(self, type_: str, optional: bool) -> dict[str, Any]:
        name = re.sub(r"\[\]| \| cdktf\.IResolvable", "", type_).strip()
        many = "[]" in type_
        nesting = "set" if name in self.sets else "single" if name in self.singles and not many else "list"
        return {
            "nesting": nesting,
            "min": 0 if optional or nesting == "single" else 1,
            "max": 0 if many or nesting == "single" else 1,
            "block": self.block(name, self.computed.get(name, {})),
        }

    def type_of(self, type_: str) -> Any:
        plain = re.sub(r" \| cdktf\.IResolvable", "", type_).strip()
        if plain.endswith("[]"):
            return ["list", self.type_of(plain.removesuffix("[]").strip("()"))]
        if mapped := re.match(r"\{\s*\[key: string\]: (.*?);?\s*\}$", plain, re.DOTALL):
            return ["map", self.type_of(mapped.group(1))]
        if plain in ("string", "number"):
            return plain
        if plain.startswith("boolean"):
            return "bool"
        if plain in self.interfaces:
            inner = self.block(plain, {})
            optional = [name for name, attribute in inner.attributes.items() if attribute["optional"]]
            return ["object", {name: attribute["type"] for name, attribute in inner.attributes.items()}, optional]
        return "dynamic"
