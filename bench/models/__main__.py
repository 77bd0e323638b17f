"""Time and memory of fits and predictions, ours beside ``lifetimes`` and ``pymc-marketing``.

``python -m bench.models --folder DIR`` makes the populations, runs every contender in a
process of its own and prints the tables of ``RESULTS.md``. Kept results are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.models import population
from bench.models.tables import agreement_table, cost_table
from bench.peers import peers_python

HERE = Path(__file__).parent
PEERS = ("lifetimes", "pymc-marketing")
SIZES = (10_000, 100_000, 1_000_000)


def run(contender: str, model: str, customers: int, folder: Path, python: str, limit: float) -> dict[str, Any]:
    """Run one contender unless its result is kept; return the result."""
    file = folder / f"{contender}-{model}-{customers}.json"
    if not file.exists():
        data = folder / f"{model}-{customers}.npz"
        if not data.exists():
            population.write(model, customers, data)
        command = [python, str(HERE / "contender.py"), contender, model, str(data), str(file)]
        environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
        try:
            done = subprocess.run(command, env=environment, timeout=limit, check=False, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            file.write_text(json.dumps({"ended": f"not within {limit / 60:g} minutes"}))
        else:
            if done.returncode:
                file.write_text(json.dumps({"ended": f"failed: {done.stderr.strip().splitlines()[-1:]}"}))
    result: dict[str, Any] = json.loads(file.read_text())
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.models", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where populations and results are kept; else a temporary folder")
    parser.add_argument("--peers", type=Path, help="the peers' environment, made if absent; else in the folder")
    parser.add_argument("--customers", type=int, nargs="+", default=SIZES)
    parser.add_argument("--models", nargs="+", default=list(population.TRUTH))
    parser.add_argument("--limit", type=float, default=300.0, help="seconds that a contender may take")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="bench-models-"))
    folder.mkdir(parents=True, exist_ok=True)
    peers = peers_python(chosen.peers or folder / "peers", HERE / "requirements-peers.txt")
    results: dict[tuple[str, str, int], dict[str, Any]] = {}
    for model in chosen.models:
        for contender in ("ours", *PEERS):
            for customers in chosen.customers:
                python = sys.executable if contender == "ours" else peers
                smaller = [result for key, result in results.items() if key[:2] == (contender, model)]
                if any("ended" in result for result in smaller):
                    results[contender, model, customers] = {"ended": "not tried: fewer took too long"}
                    continue
                result = run(contender, model, customers, folder, python, chosen.limit)
                results[contender, model, customers] = result
                print(contender, model, customers, result.get("ended", "done"), file=sys.stderr, flush=True)
    print(cost_table(results))
    print()
    print(agreement_table(results, folder))


if __name__ == "__main__":
    main()
