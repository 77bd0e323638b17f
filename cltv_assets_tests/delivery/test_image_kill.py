"""The image's container is killed in the middle of a month, and the next one has its volumes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cltv_assets_tests.cluster.server_process import wait_until
from cltv_assets_tests.delivery.image import BUILT, Image, as_the_code_server, given, podman

#: What the next container does. The home is read-only, as in compose.yaml, and the command still runs.
AGAIN = (
    'cltv run && cltv verify && python -c "import dagster as dg, json; '
    'print(json.dumps([run.status.value for run in dg.DagsterInstance.get().get_runs()]))"'
)


@pytest.fixture
def volumes() -> Iterator[dict[str, str]]:
    """Return volumes that outlive a container, by their places."""
    names = {
        place: f"cltv-tests{place.replace('/', '-')}-{os.getpid()}" for place in ("/scratch", "/opt/dagster/running")
    }
    for name in names.values():
        podman("volume", "create", name)
    yield names
    podman("volume", "rm", "--force", *names.values())


def test_a_month_is_made_after_a_kill(image: Image, volumes: dict[str, str], tmp_path: Path) -> None:
    # There is no PostgreSQL here; `make test-production` has it.
    instance = {"storage": {"sqlite": {"base_dir": "/scratch/instance"}}, "telemetry": {"enabled": False}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance))
    variables = {"CLTV_END_MONTH": "1997-01", "CLTV_LAKE_URI": "/scratch/lake", "TMPDIR": "/scratch"}
    options = [
        *as_the_code_server(volumes),
        *given(variables, {"/opt/dagster/dagster.yaml": tmp_path / "dagster.yaml"}),
    ]
    lake = Path(podman("volume", "inspect", "--format={{.Mountpoint}}", volumes["/scratch"]).strip(), "lake")
    killed = podman("run", "--detach", *options, BUILT, "cltv", "run").strip()
    try:
        published = lake / "purchase_days/_delta_log/00000000000000000001.json"
        wait_until(published.exists, 240, "a table is published")
        podman("kill", "--signal=KILL", killed)
    finally:
        podman("rm", "--force", killed)
    assert not (lake / "cltv_report").exists(), "it was not killed in the middle"
    # Every library that computes a month: DuckDB, Arrow, Delta, SciPy, Matplotlib. Nothing is fetched at run time.
    said = podman("run", "--rm", *options, BUILT, "sh", "-c", AGAIN)
    assert "1 month done" in said
    assert "nothing is damaged" in said
    # The killed run has ended too: it would hold a place in the queue.
    assert sorted(json.loads(said.splitlines()[-1])) == ["FAILURE", "SUCCESS", "SUCCESS"]
