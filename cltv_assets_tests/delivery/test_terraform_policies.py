"""checkov finds nothing in deploy/terraform but what is explained where it stands."""

from __future__ import annotations

import json
import os
import subprocess

from cltv_assets_tests.delivery.terraform.workspace import DEPLOY, TOOLS


def test_nothing_is_found():
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run(
        [TOOLS / "bin/checkov", "-d", DEPLOY, "--framework", "terraform", "--compact", "--skip-download", "-o", "json"],
        env=surroundings | {"LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stderr
    found = json.loads(ran.stdout)
    failed = [f"{c['check_id']} {c['resource']}: {c['check_name']}" for c in found["results"]["failed_checks"]]
    assert failed == []
    assert found["summary"]["parsing_errors"] == 0
    # All buckets, keys and roles were looked at, and not an empty folder.
    assert found["summary"]["resource_count"] >= 60
