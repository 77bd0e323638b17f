"""checkov finds nothing in deploy/terraform but what is explained where it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from cltv_assets_tests.delivery.terraform.workspace import DEPLOY, TOOLS


@pytest.fixture(scope="module")
def found():
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run(
        [TOOLS / "bin/checkov", "-d", DEPLOY, "--framework", "terraform", "--compact", "--skip-download", "-o", "json"],
        env=surroundings | {"LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stderr
    return json.loads(ran.stdout)


def test_nothing_is_found(found):
    failed = [f"{c['check_id']} {c['resource']}: {c['check_name']}" for c in found["results"]["failed_checks"]]
    assert failed == []
    assert found["summary"]["parsing_errors"] == 0
    # All buckets, keys and roles were looked at, and not an empty folder.
    assert found["summary"]["resource_count"] >= 60
    assert found["summary"]["passed"] >= 100


def test_every_exception_is_needed_and_says_why(found):
    text = "\n".join(path.read_text() for path in DEPLOY.rglob("*.tf"))
    stated = re.findall(r"checkov:skip=(\w+):(.*)", text)
    assert stated
    for check, reason in stated:
        assert len(reason.split()) >= 8, f"{check} is skipped without a reason"
    # One whose cause is gone would hide the next one.
    assert {check for check, _ in stated} == {c["check_id"] for c in found["results"]["skipped_checks"]}
    assert not list(DEPLOY.rglob(".checkov*"))
