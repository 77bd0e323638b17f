"""Makes Dagster's daemon look at backfills every few seconds rather than twice a minute, for which it has no setting.

Python runs a file of this name when it starts, where the folder is on ``PYTHONPATH``. Where Dagster has moved the name,
the tests only take longer.
"""

import sys

if any(word.endswith(("dagster-daemon", "dagster._daemon")) for word in sys.orig_argv):
    import dagster._daemon.controller

    dagster._daemon.controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 3
