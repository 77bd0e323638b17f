"""Stands in for the providers: their schemas, and plans and states without any service behind them.

Run with the Python of the checks' environment. It prints, as one line of JSON, what Terraform's TF_REATTACH_PROVIDERS
has to be, and lives until its standard input closes. Terraform does everything else itself: expressions, types,
modules, conditions, dependencies. What a provider would compute, such as an ARN, is made up of the resource's name.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zlib
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import msgpack

from cltv_assets_tests.delivery.terraform.schemas import PACKAGES, Provider, read_provider
from cltv_assets_tests.delivery.terraform.wire import fields, message, provider_schema

SOURCES = {"aws": "registry.terraform.io/hashicorp/aws", "databricks": "registry.terraform.io/databricks/databricks"}
ACCOUNT = "123456789012"
UNKNOWN = msgpack.ExtType(0, b"\0")

#: ARNs as AWS makes them, by type; `{0}` is the resource's own name.
ARNS = {
    "aws_iam_instance_profile": f"arn:aws:iam::{ACCOUNT}:instance-profile/{{0}}",
    "aws_iam_openid_connect_provider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
    "aws_iam_policy": f"arn:aws:iam::{ACCOUNT}:policy/{{0}}",
    "aws_iam_role": f"arn:aws:iam::{ACCOUNT}:role/{{0}}",
    "aws_kms_key": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/{{0}}",
    "aws_s3_bucket": "arn:aws:s3:::{0}",
    "aws_secretsmanager_secret": f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:{{0}}-AbCdEf",
    "aws_cloudwatch_log_group": f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:{{0}}",
}


class StandIn:
    """One provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def answer(self, method: str, request: bytes) -> bytes:
        """Answer a call of Terraform's."""
        asked = fields(request)
        if method == "GetSchema":
            known = self._provider
            named = (
                {name: block.as_json() for name, block in some.items()}
                for some in (known.resources, known.data_sources)
            )
            return provider_schema(known.config.as_json(), *named)
        if method == "PrepareProviderConfig":
            return message((1, asked[1][0]))
        if method == "UpgradeResourceState":
            return message((1, message((2, fields(asked[3][0])[1][0]))))
        if method == "ReadResource":
            return message((1, asked[2][0]))
        if method == "PlanResourceChange":
            return message((1, self._planned(asked[1][0].decode(), asked[3][0])))
        if method == "ApplyResourceChange":
            return message((1, self._applied(asked[1][0].decode(), asked[3][0])))
        if method == "ReadDataSource":
            name = asked[1][0].decode()
            block = self._provider.data_sources[name].as_json()
            return message((1, _dynamic(self._made(name, _filled(block, _value(asked[2][0]))))))
        # Validation and configuration: nothing to say.
        return b""

    def _planned(self, name: str, proposed: bytes) -> bytes:
        value = _value(proposed)
        return _dynamic(value if value is None else _filled(self._provider.resources[name].as_json(), value))

    def _applied(self, name: str, planned: bytes) -> bytes:
        value = _value(planned)
        return _dynamic(value if value is None else self._made(name, value))

    def _made(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Give what is unknown a value."""
        own = next(
            (
                value[key]
                for key in ("name", "display_name", "bucket", "description")
                if isinstance(value.get(key), str)
            ),
            name,
        )
        if name == "aws_kms_key":
            # A key has an id for a name; here the word that its description begins with.
            own = own.split(": ")[-1].split()[0]
        own = re.sub(r"[^\w./-]+", "-", own)
        attributes = (self._provider.resources | self._provider.data_sources)[name].attributes

        def made(key: str, inner: Any) -> Any:
            if isinstance(inner, msgpack.ExtType):
                type_ = attributes.get(key, {}).get("type", "string")
                if key == "arn":
                    return ARNS.get(name, f"arn:aws:{name}:{{0}}").format(own)
                if key == "unity_catalog_iam_arn":
                    return "arn:aws:iam::999999999999:role/unity-catalog"
                if key == "volume_path":
                    return f"/Volumes/{value['catalog_name']}/{value['schema_name']}/{value['name']}"
                empty: dict[str, Any] = {"number": 0, "bool": False}
                text = own if key == "id" else f"{key}-of-{own}"
                if (name, key) == ("databricks_service_principal", "id"):
                    text = str(zlib.crc32(own.encode()))  # numbers, in Databricks
                return empty.get(type_, text) if isinstance(type_, str) else {} if type_[0] == "map" else []
            if isinstance(inner, dict):
                return {name: made(name, value) for name, value in inner.items()}
            return [made(key, value) for value in inner] if isinstance(inner, list) else inner

        return {key: made(key, inner) for key, inner in value.items()}


def _filled(block: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Mark what the provider will compute as unknown."""
    out = dict(value)
    for name, attribute in block["attributes"].items():
        if attribute.get("computed") and out.get(name) is None:
            out[name] = UNKNOWN
    for name, nested in block["blocks"].items():
        inner = out.get(name)
        if isinstance(inner, list):
            out[name] = [_filled(nested["block"], one) if isinstance(one, dict) else one for one in inner]
        elif isinstance(inner, dict):
            out[name] = _filled(nested["block"], inner)
    return out


def _value(dynamic: bytes) -> Any:
    return msgpack.unpackb(fields(dynamic)[1][0], strict_map_key=False)


def _dynamic(value: Any) -> bytes:
    return message((1, msgpack.packb(value)))


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, provider: StandIn) -> None:
        self._provider = provider

    def service(self, details: Any) -> Any:
        service, _, method = details.method.lstrip("/").rpartition("/")
        if service != "tfplugin5.Provider" or method not in METHODS:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, _: self._provider.answer(method, request))


METHODS = {
    "ApplyResourceChange",
    "Configure",
    "GetSchema",
    "PlanResourceChange",
    "PrepareProviderConfig",
    "ReadDataSource",
    "ReadResource",
    "Stop",
    "UpgradeResourceState",
    "ValidateDataSourceConfig",
    "ValidateResourceTypeConfig",
}


def main() -> None:
    """Serve until standard input closes; argument: the folder whose resources to know."""
    configuration = "\n".join(path.read_text() for path in sorted(Path(sys.argv[1]).rglob("*.tf")))
    site_packages = Path(msgpack.__file__).parents[1]
    attached, servers, versions = {}, [], {}
    for name in PACKAGES:
        kinds = [
            set(re.findall(rf'^{kind} "({name}_\w+)"', configuration, re.MULTILINE)) for kind in ("resource", "data")
        ]
        provider = read_provider(name, site_packages, *kinds)
        server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[_Calls(StandIn(provider))])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        versions[name] = provider.version
        address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
        attached[SOURCES[name]] = {
            "Protocol": "grpc",
            "ProtocolVersion": 5,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": address,
        }
    sys.stdout.write(json.dumps({"providers": attached, "versions": versions}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    for server in servers:
        server.stop(None)


if __name__ == "__main__":
    main()
