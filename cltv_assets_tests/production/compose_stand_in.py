"""Does what deploy/backup and deploy/restore ask of ``docker compose``, for a local deployment.

Usage: ``python -m cltv_assets_tests.production.compose_stand_in STATE exec|run|stop|up …``
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from cltv_assets_tests.production.local_deployment import DEPLOY, postgres_program


def main(state_file: str, verb: str, *words: str) -> None:
    state = json.loads(Path(state_file).read_text())
    if verb in ("stop", "up"):
        return
    service, *command = [word for word in words if word not in ("-T", "--rm")]
    if service == "postgres":
        os.execve(postgres_program(command[0]), command, os.environ | state["postgres"])
    if verb == "run":
        command = ["with-secrets", *(command or state[service])]
    os.chdir(state["home"])
    os.execve(DEPLOY / command[0], command, state["environments"][service])


if __name__ == "__main__":
    main(*sys.argv[1:])
