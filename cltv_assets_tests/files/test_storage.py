"""Files of a folder, whatever their names; what is on S3 is tested with the lake and on a real server."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cltv_assets.errors import ConfigError, LakeError
from cltv_assets.files.storage import Entry, Storage

ODD = ["with space", "50%", "%41.txt", "a#b?c", "ümläut", "[x] *", ".hidden"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(tmp_path: Path, name: str) -> None:
    storage = Storage(str(tmp_path))
    uri = storage.uri(name, "deep", name)
    storage.write(uri, io.BytesIO(b"one"))
    storage.write(uri, io.BytesIO(b"two!"))
    assert storage.read(uri) == b"two!"
    (entry,) = (found for found in storage.entries(storage.root, recursive=True) if found.kind == "file")
    assert entry == storage.stat(uri)
    assert (entry.uri, entry.name, entry.size, storage.size(uri)) == (uri, name, 4, 4)
    assert [found.name for found in storage.entries(storage.uri(name))] == ["deep"]
    assert storage.delete(storage.uri(name))
    assert not storage.delete(uri)
    assert storage.entries(storage.uri(name)) == []


def test_what_lies_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "round").symlink_to(tmp_path)
    (tmp_path / "a").symlink_to("nothing")
    (tmp_path / "c").symlink_to("c")
    storage = Storage(tmp_path.as_uri())
    assert [(entry.name, entry.kind) for entry in storage.entries(storage.root, recursive=True)] == [
        ("a", "broken"), ("b", "folder"), ("round", "folder"), ("c", "broken"),
    ]  # fmt: skip
    assert storage.stat(storage.uri("a")) == Entry(str(tmp_path / "a"), "broken")
    assert storage.stat(storage.uri("b", "nothing")) is None
    assert storage.size(storage.uri("b")) is None


def test_a_file_that_could_not_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    uri = storage.uri("file")
    storage.write(uri, io.BytesIO(b"old"))

    def write_half() -> None:
        with storage.replacing(uri) as path:
            path.write_bytes(b"ne")
            assert storage.read(uri) == b"old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert storage.read(uri) == b"old"
    assert [entry.name for entry in storage.entries(storage.root)] == ["file"]


def test_an_address_that_cannot_be_reached_is_told_in_the_callers_terms() -> None:
    with pytest.raises(LakeError, match=r"s3://bucket/lake is on an object store, which needs the extra s3"):
        Storage("s3://bucket/lake/")
    with pytest.raises(ConfigError, match=r"gopher://host/x cannot be opened"):
        Storage("gopher://host/x", error=ConfigError)
