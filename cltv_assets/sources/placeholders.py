"""Ids that stand for no customer; in lower case."""

from __future__ import annotations

#: Ids that tills and shops write for somebody whom they do not know, and words of rows that add others up.
PLACEHOLDERS = (
    "guest", "anonymous", "anon", "unknown", "unbekannt", "inconnu", "walk-in", "walkin", "cash", "customer", "default",
    "dummy", "test", "tbd", "x", "xxx", "-", "--", ".", "?", "0", "-1", "00000000-0000-0000-0000-000000000000",
    "gast", "invité", "invitado", "all", "total", "grand total", "subtotal", "sum", "summe", "gesamt",
)  # fmt: skip
#: The same with words or an address behind them.
NOBODY_WITH_WORDS = (
    r"^(guest|walk[ _-]?in|anonymous|unknown|cash|no-?reply|test|laufkund(e|schaft)|client comptoir|"
    r"consumidor final)([ @]|$)"
)
