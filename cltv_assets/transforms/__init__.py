"""Ibis tables in, Ibis tables out: no engine, no Dagster, nothing executed.

What needs a number from the engine first (a threshold, a fit) takes it as an
argument; ``steps`` gets it.
"""

import ibis

# Transformations are written in steps, each naming what the next one uses. Ibis
# would fuse the steps and write every expression out once for each use of it: the
# parsing of times alone became megabytes of SQL that took seconds to plan.
ibis.options.sql.fuse_selects = False
