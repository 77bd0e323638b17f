"""What of the access to S3 goes to another process."""

from __future__ import annotations

import pickle

from cltv_assets.files.object_store import Credentials, ObjectStore


def made() -> ObjectStore:
    keys = Credentials("id", "hidden", "token")
    return ObjectStore(lambda: keys, lambda: None, "http://localhost:1/", "eu-central-1")


def test_it_travels_with_the_credentials_of_now():
    copy = pickle.loads(pickle.dumps(made()))
    assert (copy.endpoint_url, copy.region) == ("http://localhost:1", "eu-central-1")
    assert copy.filesystem().equals(made().filesystem())


def test_where_they_are_not_shared_the_other_machine_uses_its_own():
    store = made()
    store.shared = False
    pickled = pickle.dumps(store)
    assert b"hidden" not in pickled
    copy = pickle.loads(pickled)
    assert copy.filesystem().region == "eu-central-1"
    assert not copy.filesystem().equals(made().filesystem())
