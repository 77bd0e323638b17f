"""What is looked at before anything runs: configuration, source, lake, store, database, automation, versions.

Each module asks about one of these and answers in findings. What is printed, and in
which order, is the command's.
"""

from cltv_assets.cli.doctor.finding import Finding, State, failed, ok, warning

__all__ = ["Finding", "State", "failed", "ok", "warning"]
