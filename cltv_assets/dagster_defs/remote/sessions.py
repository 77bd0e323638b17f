"""Both ends of the exchange with a remote job, through S3 or a Databricks volume.

The S3 ends are those of dagster-aws and dagster_pipes with three additions: the
location has the store's endpoint, so that the far end can read its settings before it has
any; keys have a prefix; and the context is removed after a failure too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_pipes import (
    PipesCliArgsParamsLoader,
    PipesContextLoader,
    PipesDbfsContextLoader,
    PipesDbfsMessageWriter,
    PipesEnvVarParamsLoader,
    PipesMessageWriter,
    PipesParamsLoader,
    PipesS3ContextLoader,
    PipesS3MessageWriter,
    PipesUnityCatalogVolumesContextLoader,
    PipesUnityCatalogVolumesMessageWriter,
)

from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.settings import S3, Settings

#: Seconds between two writes of messages at the far end.
_WRITE_SECONDS = 2.0


class Heard:
    """Keeps what a message reader received, even if the client that used it raises.

    A mixin for readers. Without it, the check results of a job that fails later would be lost.
    """

    handler: dg.PipesMessageHandler | None = None

    @contextlib.contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[Any]:
        """Keep the handler, and read as the reader does."""
        self.handler = handler
        with super().read_messages(handler) as params:  # type: ignore[misc]  # the reader's own
            yield params


def s3_client(s3: S3) -> Any:
    """Return a boto3 client for ``s3``, with the credentials found where this runs."""
    store = object_store_for(Settings.model_validate({"lake_uri": "s3://any", "s3": s3.model_dump()}))
    assert store is not None
    return store.client()


def s3_ends(here: S3, there: S3, bucket: str, prefix: str, seconds: float) -> tuple[dg.PipesContextInjector, Any]:
    """Return the near ends on S3: the context injector and the message reader.

    Parameters
    ----------
    here, there : S3
        How each end reaches the store, without credentials.
    bucket, prefix : str
        Where context and messages are kept, and what their keys begin with.
    seconds : float
        Seconds between two looks for messages.
    """
    from dagster_aws.pipes import PipesS3ContextInjector, PipesS3MessageReader

    client = s3_client(here)
    # Names of variables, not their values.
    reached = {"s3": there.model_dump(exclude_none=True)}

    class Injector(PipesS3ContextInjector):  # type: ignore[misc]
        @contextlib.contextmanager
        def inject_context(self, context: Any) -> Iterator[dict[str, Any]]:
            with super().inject_context(context) as params:
                try:
                    yield {**params, **reached}
                finally:
                    client.delete_object(Bucket=params["bucket"], Key=params["key"])

    class Reader(Heard, PipesS3MessageReader):  # type: ignore[misc]
        @contextlib.contextmanager
        def get_params(self) -> Iterator[dict[str, Any]]:
            with super().get_params() as params:
                yield {**params, **reached, "key_prefix": f"{prefix}{params['key_prefix']}"}

    reader = Reader(interval=seconds, bucket=bucket, client=client, include_stdio_in_messages=True)
    return Injector(bucket=bucket, client=client, key_prefix=prefix), reader


def params_loader() -> PipesParamsLoader | None:
    """Return the loader of the ends' locations, or ``None`` if no orchestrator started this process.

    They are in variables if the launcher can set them, and otherwise in arguments (a Databricks
    cluster that runs already).
    """
    for kind in (PipesEnvVarParamsLoader, PipesCliArgsParamsLoader):
        loader: PipesParamsLoader = kind()
        if loader.is_dagster_pipes_process():
            return loader
    return None


def far_ends(params: PipesParamsLoader) -> tuple[PipesContextLoader, PipesMessageWriter[Any]]:
    """Return the ends that this process uses; the locations' form decides which."""
    context, messages = params.load_context_params(), params.load_messages_params()
    return _context_loader(context), _message_writer(messages)


def _context_loader(place: Mapping[str, Any]) -> PipesContextLoader:
    if "bucket" in place:
        return PipesS3ContextLoader(s3_client(S3.model_validate(place.get("s3", {}))))
    if str(place.get("path", "")).startswith("/Volumes/"):
        return PipesUnityCatalogVolumesContextLoader()
    return PipesDbfsContextLoader()


def _message_writer(place: Mapping[str, Any]) -> PipesMessageWriter[Any]:
    if "bucket" in place:
        return PipesS3MessageWriter(s3_client(S3.model_validate(place.get("s3", {}))), interval=_WRITE_SECONDS)
    if str(place.get("path", "")).startswith("/Volumes/"):
        return PipesUnityCatalogVolumesMessageWriter(interval=_WRITE_SECONDS)
    return PipesDbfsMessageWriter(interval=_WRITE_SECONDS)
