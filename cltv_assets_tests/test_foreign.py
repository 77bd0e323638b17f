"""Text that came from others is shown as it is: Markdown, terminals and consoles obey nothing in it."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table

from cltv_assets.cli.terminal import PlainConsole
from cltv_assets.foreign import for_markdown, from_markdown, visible, visible_lines

#: With what the UI's Markdown has beside the common kind.
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
JOINER = "\u2060"
#: Characters that mean something to somebody, more often than others.
TEXTS = st.text(
    st.one_of(st.sampled_from("\\`*_{}[]()#+-.!|<>&~$ \n\t\x1b\u202e=\"'1a:/@"), st.characters()), max_size=40
)


def inner(text: str, kinds: set[str]) -> str:
    """Return the text of the only paragraph or of the only cell of a body, which must hold nothing but text."""
    tokens = MARKDOWN.parse(text)
    assert {token.type for token in tokens} <= kinds, tokens
    *_, last = [token for token in tokens if token.type == "inline"]
    assert {child.type for child in last.children or ()} <= {"text", "text_special"}, last
    return "".join(child.content for child in last.children or ())


@given(TEXTS.filter(lambda text: bool(visible(text).strip())))
@example("![t](http://x.example/t.png)")
@example("<img src=http://x.example/t.png>")
@example("a | b \\| c \\\\| d")
@example("1. one")
@example("# head")
@example("---")
@example("_under_ scored_name __x__")
@example("&lt;b&gt; &#60;")
@example("[a]: http://x.example")
@example("\u00a0    code")
@settings(deadline=None, max_examples=300)
def test_nothing_renders_in_markdown(text: str) -> None:
    escaped, plain = for_markdown(text), visible(text)
    assert from_markdown(escaped) == plain
    paragraph = inner(escaped, {"paragraph_open", "inline", "paragraph_close"})
    assert paragraph.replace(JOINER, "").strip() == plain.strip()
    table = {f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")}
    cell = inner(f"| name |\n| --- |\n| {escaped} |", {*table, "inline"})
    assert cell.replace(JOINER, "").strip() == plain.strip()


@pytest.mark.parametrize("text", ["http://x.example/t", "https://x.example", "www.x.example", "a@x.example"])
def test_no_address_becomes_a_link_by_itself(text: str) -> None:
    # What the UI's Markdown looks for: a scheme with its slashes, www with its dot, a name right behind the @.
    shown = for_markdown(text)
    assert not any(mark in shown for mark in ("://", "www.", "@x"))
    assert from_markdown(shown) == text


@given(TEXTS)
@settings(deadline=None)
def test_a_terminal_obeys_nothing(text: str) -> None:
    assert "\x1b" not in visible(text)
    assert "\n" not in visible(text)
    assert all(one.isprintable() or one in "\u00a0\u202f\u3000" for one in visible(text))
    assert visible_lines(text).count("\n") == text.count("\n")
    assert "\u202e" not in visible_lines(text)


def test_a_console_takes_nothing_for_markup() -> None:
    out = io.StringIO()
    console = PlainConsole(file=out, width=120, force_terminal=True, color_system="truecolor")
    odd = "[/] [link=http://x.example]a[/link] [red]b :smile: \x1b[31mc \x07"
    table = Table("[/]", box=None)
    table.add_row(odd)
    console.print(odd)
    console.print(table)
    console.rule(odd)
    said = out.getvalue()
    assert said.count("[/] [link=http://x.example]a[/link] [red]b :smile: \\x1b[31mc \\x07") == 3
    assert "\x1b[31m" not in said
    assert "\x1b]8" not in said
    console.print("failed", style="red")
    assert "\x1b[31m" in out.getvalue()
