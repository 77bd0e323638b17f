"""The fence: what a run computed before an erasure cannot be published after it.

A run reads a customer's rows, `cltv forget` erases the customer and deletes old files at once, the run publishes.
Without a fence that brings the customer back, or the commit names a file that is deleted.

The fence is a property of each Delta table that has another value after every erasure. Delta's log orders
everything: a change of a property conflicts with each commit that is based on an older version, so there is
nothing to wait for and no moment between looking and committing.

- A **writer** notes the value when the making of a month begins, before it reads an input
  (``LakeTable.begin``, which creates the table, so that an eraser finds it). Each try to commit first compares the
  value in the version that it is based on, and is refused if it differs.
- An **eraser** publishes the months of all tables without the customer. Then for each table it lists the files that
  the log does not name, changes the value, loads the log again, and deletes those of the list that are still not named.
  At last it looks into all tables again for the customer.

A writer that noted the old value does one of these:

- It commits before the change. The eraser loads the log after the change, so it spares the files, and finds the
  customer in them when it looks again.
- It loads the log before the change and commits after it. The commit conflicts, the log is loaded again, and the
  writer is refused.
- It loads the log after the change. It is refused.

A writer that notes the new value has files that are not in the list, which is older, and reads inputs that are erased
already: tables are fenced after all of them are erased. An input that a third run published between, with the
customer, is what the eraser finds at last; the command says that it is to be given again.

What is begun later than it is made looks at the fence of another table, too. `refused_lines` is fenced last of all, so
whoever has begun there and then finds the other fence unchanged is an older writer there too. A report is a file
without a log. Its writer looks before and after the writing, and deletes a file that an erasure overtook.

Left is this: a process that is killed after the erasure ended, between writing a file and being refused, leaves that
file. A table's log never names it, and `cltv vacuum` or the next `cltv forget` deletes it; a report can be read until
`cltv forget` is given again, and `--dry-run` finds it. And Dagster may record rows of check results in the moment
before a run is refused: `--dry-run` finds them, too.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cltv_assets.errors import ErasedMeanwhileError
from cltv_assets.months import Month

_KEY = "cltv_assets.erasure"
_ATTEMPTS = 200
_LONGEST_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Fence:
    """What a writer noted of a table's fence.

    Parameters
    ----------
    making : str
        What it makes: the table's or report's name.
    month : Month
        Which month of it.
    noted : str
        The value when the making began.
    newest : callable
        Returns the newest version of the fenced table, or None if there is none.
    """

    making: str
    month: Month
    noted: str
    newest: Callable[[], DeltaTable | None]

    def check(self, table: DeltaTable | None = None) -> None:
        """Look at a version of the table, by default the newest.

        Raises
        ------
        ErasedMeanwhileError
            If something was erased since the value was noted.
        """
        if value_of(table or self.newest()) != self.noted:
            raise ErasedMeanwhileError(
                f"A customer was erased while this run was making month {self.month} of {self.making}; what it made "
                "of data from before is dropped.",
                f"Run month {self.month} again.",
            )


def value_of(table: DeltaTable | None) -> str:
    """Return the fence's value; empty if nothing was ever erased, or there is no table."""
    return "" if table is None else table.metadata().configuration.get(_KEY, "")


def raise_fence(load: Callable[[], DeltaTable | None]) -> None:
    """Refuse every writer that has begun; ``load`` returns the newest version of the table.

    Raises
    ------
    deltalake.exceptions.DeltaError, OSError
        If the table cannot be written.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        table = load()
        if table is None:
            return
        try:
            # Any new value will do. A number would need to be read first, and would begin anew in a table made anew.
            table.alter.set_table_properties({_KEY: uuid.uuid4().hex}, raise_if_not_exists=False)
        except CommitFailedError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(random.uniform(0, _LONGEST_WAIT_SECONDS))  # noqa: S311 - spreads writers, guards nothing
        else:
            return
