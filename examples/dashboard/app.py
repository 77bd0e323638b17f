"""A small dashboard over the views that ``cltv views`` writes: an example to change.

``make dashboard`` writes the views and starts it. By hand, in this folder:
``streamlit run app.py -- /path/to/analysis.duckdb``. Each page is a function; it asks one
question in SQL and draws the answer. docs/data_dictionary.md explains every column.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import altair as alt
import duckdb
import pandas as pd
import streamlit as st

QUESTIONS = Path(__file__).parents[2] / "docs" / "analysis.md"

TOTALS = """
    SELECT month, horizon_months, customers, expected_purchases, expected_purchases_low, expected_purchases_high,
        expected_value, expected_value_low, expected_value_high
    FROM segment_summary WHERE scheme = 'all' ORDER BY month, horizon_months
"""
# Revenue is spend less refunds. The first eleven months have no whole year behind them.
LAST_YEAR = """
    WITH months AS (
        SELECT month, sum(spend - refunds) AS revenue, sum(order_count) AS orders FROM purchase_days GROUP BY month
    ), years AS (
        SELECT month, sum(revenue) OVER year AS revenue, sum(orders) OVER year AS orders, count(*) OVER year AS months
        FROM months
        WINDOW year AS (ORDER BY month RANGE BETWEEN INTERVAL 11 MONTHS PRECEDING AND CURRENT ROW)
    )
    SELECT month, revenue, orders FROM years WHERE month >= (SELECT min(month) FROM months) + INTERVAL 11 MONTHS
"""
COHORTS = """
    SELECT cohort, age_months, customers, retention, cumulative_revenue / nullif(customers, 0) AS revenue_per_customer
    FROM current_cohort_value WHERE attribute = 'all' AND kind = 'realised' ORDER BY cohort, age_months
"""
SEGMENTS = """
    SELECT rfm_segment AS segment, count(*) AS customers, sum(historic_value) AS historic_value,
        sum(COLUMNS('predicted_value_.*')), any_value(suggested_action) AS suggested_action
    FROM current_customer_scores GROUP BY rfm_segment ORDER BY customers DESC
"""
CHURN = "SELECT churn_state, count(*) AS customers FROM current_customer_scores GROUP BY churn_state"
CHANNELS = """
    SELECT attribute, attribute_value, customers, expected_orders, expected_value, expected_value_low,
        expected_value_high
    FROM current_new_customer_value
    WHERE attribute <> 'all' AND horizon_months = (SELECT max(horizon_months) FROM current_new_customer_value)
    ORDER BY attribute, expected_value DESC
"""
PAYBACK = """
    SELECT attribute_value, cohort, customers, cac, value_so_far, ltv, ltv_to_cac, payback, payback_age, too_young
    FROM current_acquisition_payback
    WHERE horizon_months = (SELECT max(horizon_months) FROM current_acquisition_payback)
    ORDER BY attribute_value, cohort
"""


def ask(query: str) -> pd.DataFrame:
    """Return the answer; exact decimals become floats, which charts can draw."""
    # Opened for each question and only to read, so that `cltv views` can put a newer file in its place meanwhile.
    with duckdb.connect(sys.argv[1], read_only=True) as connection:
        found = connection.sql(query)
        names = zip(found.columns, found.types, strict=True)
        return found.select(
            ", ".join(f'"{name}"::DOUBLE AS "{name}"' if kind.id == "decimal" else f'"{name}"' for name, kind in names)
        ).df()


def table(rows: pd.DataFrame) -> None:
    """Show rows with days as days, and floats rounded."""
    days = dict.fromkeys(rows.select_dtypes("datetime"), st.column_config.DateColumn())
    floats = dict.fromkeys(rows.select_dtypes("float"), st.column_config.NumberColumn(format="%.2f"))
    st.dataframe(rows, hide_index=True, column_config=days | floats)


def value_today() -> None:
    """Show what the customers are expected to be worth, and how that and the year's revenue went."""
    st.title("Value today")
    totals = ask(TOTALS)
    if totals.empty:
        st.info("No month has predictions yet: run `cltv run`, then `cltv views` again.")
        return
    newest = totals[totals.month == totals.month.max()]
    # Without a spend model there is no money: then purchases are shown.
    what = "value" if newest.expected_value.notna().all() else "purchases"
    horizon = st.selectbox("Months ahead", list(newest.horizon_months), index=len(newest) - 1)
    now = newest[newest.horizon_months == horizon].iloc[0]
    low, high = (now[f"expected_{what}_{end}"] for end in ("low", "high"))
    years = ask(LAST_YEAR)
    left, middle, right = st.columns(3)
    left.metric("Customers", f"{now.customers:,.0f}")
    middle.metric(f"Expected {what}, next {horizon} months", f"{now[f'expected_{what}']:,.0f}")
    middle.caption(f"80 % interval: {low:,.0f} to {high:,.0f}")
    of_year = "revenue" if what == "value" else "orders"
    year = years[years.month == now.month]
    right.metric(f"Last year's {of_year}", f"{year.iloc[0][of_year]:,.0f}" if len(year) else "less than a year known")
    course = totals[totals.horizon_months == horizon]
    base = alt.Chart(course).encode(x=alt.X("yearmonth(month):T", title=None))
    band = base.mark_area(opacity=0.25).encode(
        y=alt.Y(f"expected_{what}_low:Q", title=f"Expected {what}"), y2=f"expected_{what}_high:Q"
    )
    st.subheader(f"Course: what the next {horizon} months were expected to bring")
    st.altair_chart(band + base.mark_line(point=True).encode(y=f"expected_{what}:Q"))
    st.caption("Expected value is margin, discounted, of the customers known at that month's end.")
    if not years.empty:
        st.subheader(f"{of_year.capitalize()} of the twelve months before")
        st.altair_chart(
            alt.Chart(years).mark_line(point=True).encode(x=alt.X("yearmonth(month):T", title=None), y=f"{of_year}:Q")
        )


def cohorts() -> None:
    """Show how many of each first month still buy, and what a customer of it has brought."""
    st.title("Cohorts")
    found = ask(COHORTS)
    if found.empty:
        st.info("No cohorts yet: run `cltv run`, then `cltv views` again.")
        return
    axes = {
        "x": alt.X("age_months:O", title="Months since the first purchase"),
        "y": alt.Y("yearmonth(cohort):O", title=None),
    }
    st.subheader("Share that ordered")
    tips = ["yearmonth(cohort)", "age_months", "customers", alt.Tooltip("retention", format=".1%")]
    grown = alt.Chart(found[found.age_months > 0])
    st.altair_chart(grown.mark_rect().encode(**axes, color=alt.Color("retention:Q", title=None), tooltip=tips))
    if found.revenue_per_customer.notna().any():
        st.subheader("Revenue a customer so far")
        lines = (
            alt.Chart(found)
            .mark_line()
            .encode(
                x=axes["x"],
                y=alt.Y("revenue_per_customer:Q", title=None),
                color=alt.Color("yearmonth(cohort):O", title="First purchase"),
            )
        )
        st.altair_chart(lines)


def segments() -> None:
    """Show the RFM segments, what to do about each, and the churn states."""
    st.title("Segments and what to do")
    found = ask(SEGMENTS)
    if found.empty:
        st.info("Nobody is scored yet: run `cltv run`, then `cltv views` again.")
        return
    table(found)
    bars = alt.Chart(found).mark_bar().encode(x="customers:Q", y=alt.Y("segment:N", sort="-x", title=None))
    st.altair_chart(bars)
    st.subheader("Churn states")
    for column, row in zip(st.columns(3), ask(CHURN).sort_values("churn_state").itertuples(), strict=False):
        column.metric(row.churn_state, f"{row.customers:,}")


def channels() -> None:
    """Show what a new customer of each channel is worth, and when it has paid back."""
    st.title("Channels and payback")
    found = ask(CHANNELS)
    if found.empty:
        st.info(
            "This lake has no channels: `source.columns.attributes` names columns such as a channel, docs/data_in.md."
        )
    for attribute, rows in found.groupby("attribute"):
        st.subheader(f"A new customer by {attribute}")
        table(rows.drop(columns="attribute"))
    payback = ask(PAYBACK)
    if payback.empty:
        st.info("This lake has no costs: `acquisition_costs` names a file of them, docs/data_in.md.")
        return
    st.subheader("When the cost has come back")
    table(payback)


def questions() -> None:
    """Ask the questions of docs/analysis.md, as they stand or changed."""
    st.title("Questions")
    known = re.findall(r"^### (.+)$(?:(?!^###)[\s\S])*?^```sql\n([\s\S]*?)^```", QUESTIONS.read_text("utf-8"), re.M)
    name = st.selectbox("Question", [heading for heading, _ in known])
    query = st.text_area("SQL", dict(known)[name], height=300)
    try:
        table(ask(query.strip().removesuffix(";")))
    except duckdb.Error as error:
        st.error(str(error))


st.set_page_config(page_title="Customer lifetime value", layout="wide")
if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
    st.error("Name the file that `cltv views --to FILE` wrote: streamlit run app.py -- FILE")
    st.stop()
pages = [
    st.Page(value_today, title="Value today", default=True),
    st.Page(cohorts, title="Cohorts"),
    st.Page(segments, title="Segments"),
    st.Page(channels, title="Channels"),
    st.Page(questions, title="Questions"),
]
page = st.navigation(pages)
made_at = ask("SELECT any_value(views_made_at) AS made_at FROM lake_tables").made_at[0]
st.sidebar.caption(f"The lake as it was on {made_at:%d %B %Y, %H:%M}")
page.run()
