"""A query in DuckDB's SQL, written for Spark: only what means the same there.

sqlglot translates it. What the two engines are not known to take the same way is refused: Spark would give other rows
without a word. The remaining differences stand in docs/data_in.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from cltv_assets.errors import SourceError

_SHOWN = 80
_OTHERWISE = "Write it with what docs/data_in.md names, or set engine: duckdb, which takes all of DuckDB's SQL."

#: What has no meaning of its own, or the same one everywhere.
_PLAIN: frozenset[type[exp.Expr]] = frozenset({
    exp.Select, exp.From, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit, exp.Offset,
    exp.CTE, exp.Subquery, exp.TableAlias, exp.Column, exp.Identifier, exp.Alias, exp.Distinct, exp.Window,
    exp.WindowSpec, exp.Values, exp.Tuple, exp.Paren, exp.Literal, exp.Boolean, exp.Null,
    exp.Var, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Exists, exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Neg, exp.DPipe,
    exp.DataTypeParam, exp.Interval, exp.Filter, exp.Div, exp.Cast, exp.TryCast,
    exp.Nullif, exp.Coalesce, exp.Greatest, exp.Least, exp.Case, exp.If,
    exp.Upper, exp.Lower, exp.Trim, exp.Length, exp.Replace, exp.Concat, exp.StartsWith, exp.EndsWith,
    exp.Contains, exp.StrPosition, exp.SplitPart, exp.Abs, exp.Ceil, exp.Floor, exp.Round,
    exp.Count, exp.Sum, exp.Min, exp.Max, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead,
    exp.FirstValue, exp.LastValue, exp.ArgMax, exp.ArgMin, exp.Year, exp.Month, exp.Day,
})  # fmt: skip
_WHOLE = {exp.DataType.Type.TINYINT, exp.DataType.Type.SMALLINT, exp.DataType.Type.INT, exp.DataType.Type.BIGINT}
_TYPES = _WHOLE | {
    exp.DataType.Type.TEXT,
    exp.DataType.Type.VARCHAR,
    exp.DataType.Type.DOUBLE,
    exp.DataType.Type.DECIMAL,
    exp.DataType.Type.BOOLEAN,
    exp.DataType.Type.DATE,
    exp.DataType.Type.TIMESTAMP,
    exp.DataType.Type.TIMESTAMPNTZ,
}


def _positive(node: exp.Expr | None) -> bool:
    # From 0 and from the end the engines count in different ways.
    return isinstance(node, exp.Literal) and not node.is_string and str(node.this) != "0"


def _no_backslash(node: exp.Expr) -> bool:
    return isinstance(node.expression, exp.Literal) and "\\" not in str(node.expression.this)


def _known_codes(node: exp.Expr) -> bool:
    # sqlglot has turned DuckDB's codes into Python's, which are the same.
    form = node.args.get("format")
    return isinstance(form, exp.Literal) and not re.sub(r"%[YmdHMS]|[-/.:, T]", "", str(form.this))


def _unit(*units: str) -> Callable[[exp.Expr], bool]:
    def known(node: exp.Expr) -> bool:
        return any(
            isinstance(one, exp.Var | exp.Literal) and str(one.this).upper() in units for one in node.iter_expressions()
        )

    return known


def _alike(node: exp.Expr) -> bool:
    # Of a text and a number DuckDB makes a text and Spark a number, so that 01 would become 1.
    pairs = zip(node.this.selects, node.expression.selects, strict=False)
    kinds = ({_kind(one.unalias()) for one in pair} - {"Null"} for pair in pairs)
    return not node.args.get("by_name") and all(len(found) < 2 for found in kinds)


def _kind(node: exp.Expr) -> str:
    """Return what a column of a result is, as far as it shows: names are mostly those of text."""
    if isinstance(node, exp.Column | exp.Star) or node.is_string:
        return "TEXT"
    if isinstance(node, exp.Cast):
        return str(node.to.this.value).replace("VARCHAR", "TEXT")
    return type(node).__name__


#: What means the same if it is written in a certain way.
_IF: dict[type[exp.Expr], Callable[[exp.Expr], bool]] = {
    exp.Join: lambda node: not node.args.get("method"),
    exp.With: lambda node: not node.args.get("recursive"),
    exp.Table: lambda node: isinstance(node.this, exp.Identifier) and not node.args.get("db"),
    exp.Star: lambda node: not node.args.get("replace") and not node.args.get("rename"),
    exp.DataType: lambda node: node.this in _TYPES,
    exp.Union: _alike,
    exp.Intersect: _alike,
    exp.Except: _alike,
    exp.Like: _no_backslash,
    exp.ILike: _no_backslash,
    exp.Substring: lambda node: _positive(node.args.get("start")),
    exp.Left: lambda node: _positive(node.expression),
    exp.Right: lambda node: _positive(node.expression),
    exp.StrToTime: _known_codes,
    exp.TimeToStr: _known_codes,
    exp.Extract: _unit("YEAR", "MONTH", "DAY"),
    exp.DateTrunc: _unit("YEAR", "QUARTER", "MONTH"),
    exp.TimestampTrunc: _unit("YEAR", "QUARTER", "MONTH"),
    exp.DateDiff: _unit("DAY"),
}


class SparkQuery:
    """A query of DuckDB's, for Spark.

    Parameters
    ----------
    query : str
        One SELECT, which DuckDB has accepted.
    name : str
        What messages call it.

    Raises
    ------
    SourceError
        If something in it is not known to mean the same in Spark.
    """

    def __init__(self, query: str, name: str) -> None:
        self._query, self._name = query, name
        try:
            tree = sqlglot.parse_one(query, read="duckdb")
        except ParseError as error:
            place = error.errors[0] if error.errors else {}
            where = f", line {place['line']}, column {place['col']}" if place.get("line") else ""
            raise SourceError(f"{name}{where}: it cannot be translated for Spark.", _OTHERWISE) from None
        except SqlglotError:
            raise SourceError(f"{name}: it cannot be translated for Spark.", _OTHERWISE) from None
        for node in tree.walk():
            same = _IF.get(type(node))
            if not (same(node) if same else type(node) in _PLAIN):
                raise SourceError(
                    f"{name}{self._place(node)}: {node.sql('duckdb')[:_SHOWN]} is not known to mean the same in "
                    "Spark's SQL as in DuckDB's.",
                    _OTHERWISE,
                )
        # From the inside, because what is spelled out holds other parts.
        for node in reversed([*tree.walk()]):
            _spell_out(node)
        self._tree = tree
        #: In Spark's SQL.
        self.sql = self._tree.sql("spark")

    def where(self, line: int, column: int, length: int) -> str:
        """Return where in the query that is which Spark means at a place of ``sql``; nothing if it cannot be told."""
        at = sum(len(one) + 1 for one in self.sql.split("\n")[: line - 1]) + column - 1
        word = re.compile(r"[\w`.]*").match(self.sql, at)
        part = self.sql[at : at + length] or (word[0] if word else "")
        spelled = [(node, node.sql("spark")) for node in self._tree.dfs()]
        same = [
            node for node, text in spelled if text == part and (not node.parent or node.parent.sql("spark") != part)
        ]
        before = len(re.findall(rf"(?<![\w`]){re.escape(part)}(?![\w`])", self.sql[:at]))
        return self._place(same[min(before, len(same) - 1)]) if part and same else ""

    def _place(self, node: exp.Expr) -> str:
        starts = [one.meta["start"] for one in _near(node) if "start" in one.meta]
        if not starts:
            return ""
        start = min(starts)
        line, column = self._query.count("\n", 0, start) + 1, start - self._query.rfind("\n", 0, start)
        return f", line {line}, column {column}"


def _near(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield a node and what is in it, or else what it is in."""
    yield from node.walk()
    if node.parent is not None and not any("start" in one.meta for one in node.walk()):
        yield from node.parent.walk()


def _spell_out(node: exp.Expr) -> None:
    """Write what DuckDB does where Spark would do something else."""
    if isinstance(node, exp.Div):
        # Of decimals Spark makes a decimal.
        for side in (node.this, node.expression):
            around = exp.Cast(to=_type("DOUBLE"))
            side.replace(around)
            around.set("this", side)
    elif isinstance(node, exp.Cast) and node.to.this in _WHOLE:
        # DuckDB rounds, and reads text with a point; Spark cuts, and refuses such a text.
        wide = node.copy()
        wide.set("to", _type("DECIMAL(38, 10)"))
        node.this.replace(exp.Round(this=wide, decimals=exp.Literal.number(0)))
    elif isinstance(node, exp.DataType) and node.this == exp.DataType.Type.DECIMAL and not node.expressions:
        node.replace(_type("DECIMAL(18, 3)"))
    elif isinstance(node, exp.DataType) and node.this == exp.DataType.Type.VARCHAR:
        # DuckDB takes no notice of its length.
        node.replace(_type("TEXT"))


def _type(name: str) -> exp.DataType:
    built = exp.DataType.build(name)
    for node in built.walk():
        # These are no places of the query.
        node.meta.clear()
    return built
