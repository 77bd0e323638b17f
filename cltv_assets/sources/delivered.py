"""The columns of ``raw_transactions``: lines as delivered, which the readers here write.

They are declared here and not beside the other tables, because the sources must not
import the tables that are made from them.
"""

from __future__ import annotations

from cltv_assets.columns import Column, TableSchema

#: The source's fields as delivered: text, untouched.
DELIVERED = (
    Column("transaction_id", "string", "Order or invoice number as delivered.", nullable=True),
    Column("customer_id", "string", "Customer identifier as delivered.", nullable=True),
    Column("transacted_at", "string", "Time of the transaction as delivered.", nullable=True),
    Column("quantity", "string", "Quantity as delivered.", nullable=True),
    Column("unit_price", "string", "Price of one unit as delivered.", nullable=True),
    Column("amount", "string", "Value of the line as delivered.", nullable=True),
    Column("currency", "string", "Currency code as delivered.", nullable=True),
    Column("cost", "string", "Cost of the line as delivered.", nullable=True, since=3),
    Column("unit_cost", "string", "Cost of one unit as delivered.", nullable=True, since=3),
    Column("margin", "string", "Margin of the line as delivered.", nullable=True, since=3),
)


LINE = (
    Column("source_file", "string", "File the line came from, relative to the source path."),
    Column("source_line", "int64", "Line number in that file, counted from 1.", "lines"),
    Column(
        "booked_as",
        "string",
        "'refund' where the source says so: by a flag, or for the refund that it gives in a column beside the sale, "
        "which is a row of its own. Null for all others.",
        nullable=True,
        since=3,
    ),
)
GRAIN_OF_LINES = tuple(column.name for column in LINE)

NOT_COUNTED = Column(
    "not_counted",
    "string",
    "Why the line does not count, as column and value, where source.where or source.count_status says so.",
    nullable=True,
    since=3,
)

ATTRIBUTES = Column(
    "attributes",
    "string",
    'The fields of source.columns.attributes as a JSON object, such as {"country": "DE", "channel": "search"}, '
    "without those that are missing; null where all are.",
    nullable=True,
    since=3,
)

OTHER_COLUMNS = Column(
    "other_columns",
    "string",
    'The other fields of the line as delivered, as a JSON object of texts, such as {"coupon": "SPRING", "note": '
    '"a gift"}, without empty ones; null where all are. source.keep_other_columns says which.',
    nullable=True,
    since=3,
)

SOURCE_TEXT = Column(
    "source_text",
    "string",
    "The whole line as delivered, kept only where it could not be split into fields.",
    nullable=True,
)


RAW_TRANSACTIONS = TableSchema(
    "raw_transactions",
    "The month's lines as delivered, nothing dropped. One row for each source line: columns renamed, values "
    "untouched. A refund in a column beside the sale is a second row. A line whose date cannot be read stands "
    "in the month of its file.",
    GRAIN_OF_LINES,
    (*DELIVERED, *LINE, SOURCE_TEXT, NOT_COUNTED, ATTRIBUTES, OTHER_COLUMNS),
)
