"""Rules that weigh the purchase models, and forecasts beside those of other packages.

``python -m bench.holdout rules`` compares the rules on simulated shops and public logs; ``python -m bench.holdout
forecasts`` holds the platform against ``lifetimes``, ``pymc-marketing`` and a naive rate. Both print the tables of
``RESULTS.md``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.holdout import forecasts, rules
from bench.holdout.shops import KINDS, Shop, cdnow_log, made_up, online_retail
from bench.peers import peers_python

HERE = Path(__file__).parent


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.holdout", description=__doc__)
    parser.add_argument("what", choices=("rules", "forecasts"))
    parser.add_argument("--online-retail", type=Path, help="folder of UCI Online Retail's CSV files")
    parser.add_argument("--peers", type=Path, help="the peers' environment, made if absent; else in a temporary folder")
    parser.add_argument("--shops", type=int, default=max(KINDS.values()), help="simulated shops of each kind, at most")
    chosen = parser.parse_args()
    real = [cdnow_log()] + ([online_retail(chosen.online_retail)] if chosen.online_retail else [])
    if chosen.what == "rules":
        simulated = {}
        for shop in made_up(chosen.shops):
            simulated[shop.name] = rules.costs(shop)
            print(shop.name, "done", file=sys.stderr, flush=True)
        print(f"{len(simulated)} simulated shops\n\n{rules.table(simulated.values())}")
        for shop in real:
            print(f"\n{shop.name}, {shop.months[0]} to {shop.months[-1]}\n\n{rules.table([rules.costs(shop)])}")
        return
    python = peers_python(chosen.peers or Path(tempfile.mkdtemp()) / "peers", HERE / "requirements-peers.txt")
    sets: dict[str, list[Shop]] = {shop.name: [shop] for shop in real}
    sets["simulated, one of each kind"] = list(made_up(1))
    for name, shops in sets.items():
        found = [forecasts.forecasts(shop, python) for shop in shops]
        print(f"\n{name}\n\n{forecasts.table(found)}\n\n{forecasts.against_before(found)}", flush=True)


if __name__ == "__main__":
    main()
