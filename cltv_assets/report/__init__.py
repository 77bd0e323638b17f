"""The month's HTML report: one file that needs no network, from tables of the lake.

``facts`` reads small numbers off the engine, ``data`` gathers them, ``sections`` puts
them into words and pictures, ``page`` binds the sections together and ``audit`` looks for
what would make the page unfit to publish. A new section is a function in ``sections``,
its template beside this file, and an entry in ``page.SECTIONS``.

matplotlib and jinja2 are imported when a report is made, not before: definitions import
this package.
"""

from cltv_assets.report.audit import problems
from cltv_assets.report.data import INPUTS, ReportData, collect
from cltv_assets.report.essentials import essentials
from cltv_assets.report.page import is_drawn, key_plot, render
from cltv_assets.tables.table import CUSTOMER_ANALYTICS, EVALUATION, Asset

REPORT_FILE = "report.html"
REPORT = Asset(
    name="cltv_report",
    description="The month's report as one HTML file. What to do, value beside last year's, cohorts, channels, "
    "payback, segments, how wrong earlier predictions were, models, data quality.",
    inputs=lambda _settings: INPUTS,
    group=EVALUATION,
    owner=CUSTOMER_ANALYTICS,
    kinds=("html", "matplotlib"),
    half="model",
)

__all__ = [
    "REPORT",
    "REPORT_FILE",
    "ReportData",
    "collect",
    "essentials",
    "is_drawn",
    "key_plot",
    "problems",
    "render",
]
