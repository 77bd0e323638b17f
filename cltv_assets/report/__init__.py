"""The month's HTML report: one file that needs no network, from tables of the lake.

``facts`` reads small numbers off the engine, ``figures`` draws, ``sections`` puts
both into words, ``page`` binds the sections together and ``audit`` looks for what
would make the page unfit to publish. A new section is a module in
``sections``, its template beside this file, and an entry in ``page.SECTIONS``.

matplotlib, jinja2 and the models are imported when a report is made, not before:
definitions import this package.
"""

from cltv_assets.report.audit import problems
from cltv_assets.report.collecting import INPUTS, collect
from cltv_assets.report.data import ReportData
from cltv_assets.report.essentials import essentials
from cltv_assets.report.page import key_plot_png, render

REPORT_NAME = "cltv_report"
REPORT_FILE = "report.html"

__all__ = [
    "INPUTS",
    "REPORT_FILE",
    "REPORT_NAME",
    "ReportData",
    "collect",
    "essentials",
    "key_plot_png",
    "problems",
    "render",
]
