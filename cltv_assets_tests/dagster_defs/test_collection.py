"""What lives as long as the process is set aside; what months drop is collected all the same."""

from __future__ import annotations

import gc
import weakref

from cltv_assets.dagster_defs.collection import rare_collection


class _Knot:
    """Refers to itself: only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_the_usual_collection_is_back_afterwards() -> None:
    before = gc.get_threshold()
    with rare_collection():
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold() > before
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_garbage_of_a_month_is_collected_within() -> None:
    with rare_collection():
        knots = [weakref.ref(_Knot()) for _ in range(100)]
        # As many objects as some months make.
        ballast = [[i] for i in range(50_000 * 25)]
        assert not any(knot() for knot in knots)
        del ballast
