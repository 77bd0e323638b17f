"""Where a lake of the tests lies: a local folder or a bucket. Other processes are told the same."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cltv_assets.files.object_store import Credentials, ObjectStore
from cltv_assets.files.storage import Storage
from cltv_assets.lake import Lake


@dataclass(frozen=True)
class Place:
    """A lake's root and, on S3, how to reach it.

    Parameters
    ----------
    root : str
        Folder or ``s3://`` address.
    endpoint_url, access_key, secret_key : str
        Empty for a folder.
    """

    root: str
    endpoint_url: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)

    @property
    def local(self) -> bool:
        """Whether it is a folder."""
        return not self.endpoint_url

    def __reduce__(self) -> tuple[Any, ...]:
        # Without what was made on the way: it holds connections.
        return Place, astuple(self)

    def below(self, name: str) -> Place:
        """Return another place, inside this one."""
        return replace(self, root=f"{self.root}/{name}")

    @cached_property
    def objects(self) -> ObjectStore | None:
        """How the lake reaches it."""
        if self.local:
            return None
        keys = Credentials(self.access_key, self.secret_key)
        return ObjectStore(lambda: keys, self._client, self.endpoint_url)

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    @property
    def options(self) -> dict[str, str] | None:
        """What deltalake is told."""
        return None if self.objects is None else self.objects.delta_options()

    @cached_property
    def storage(self) -> Storage:
        """The files under the root."""
        return Storage(self.root, self.objects)

    def lake(self) -> Lake:
        """Return the lake, opened anew."""
        return Lake(self.root, self.objects)

    def names(self, uri: str) -> list[str]:
        """Return the names of what lies in a folder."""
        return sorted(entry.name for entry in self.storage.entries(uri))

    def files_below(self, uri: str) -> set[str]:
        """Return the paths or addresses of all files under a folder."""
        return {entry.uri for entry in self.storage.entries(uri, recursive=True) if entry.kind == "file"}

    def exists(self, uri: str) -> bool:
        """Whether there is such a file."""
        return self.storage.size(uri) is not None

    def read(self, uri: str) -> bytes:
        """Return a file's content."""
        return self.storage.read(uri)

    def write(self, uri: str, content: bytes) -> None:
        """Write a file into a folder, which is made."""
        self.storage.make_folder(uri.rpartition("/")[0])
        with self.storage.filesystem.open_output_stream(self.storage.path(uri)) as stream:
            stream.write(content)

    def write_rows(self, uri: str, rows: pa.Table, **options: Any) -> None:
        """Write a parquet file."""
        pq.write_table(rows, self.storage.path(uri), filesystem=self.storage.filesystem, **options)

    def dataset(self, files: list[str], **options: Any) -> ds.Dataset:
        """Open parquet files."""
        paths = [self.storage.path(file) for file in files]
        return ds.dataset(paths, filesystem=self.storage.filesystem, format="parquet", **options)
