"""What YAML can do beside plain settings is refused in words, with its line, and at no length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cltv_assets.errors import ConfigError
from cltv_assets.settings import load_settings
from cltv_assets.settings.yaml_file import read_documents

#: Nine lists, each of nine times the one before: 9^9 words.
BOMB = "\n".join(
    ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
)
#: One long text, many times over.
LONG = f"text: &text '{'x' * 100_000}'\nsource: {{path: [{', '.join(['*text'] * 3_000)}]}}"

ODD = {
    "aliases of aliases": (BOMB, "line 5: this value holds more than 10,000 others"),
    "a value in itself": ("source: &me\n  path: [*me]\n", "line 1: this value contains itself"),
    "a Python object": (
        "currency: !!python/object/apply:os.system [true]\n",
        "line 1: the tag tag:yaml.org,2002:python/object/apply:os.system",
    ),
    "an unknown tag": ("start_month: 2011-01\ncurrency: !secret x\n", "line 2: the tag !secret stands for no setting"),
    "a key twice": ("currency: GBP\ncurrency: EUR\n", "line 2: currency is there twice"),
    "a key twice in a list": ("source:\n  columns: [{a: 1, a: 2}]\n", "line 2: source.columns.0.a is there twice"),
    "deep lists": ("source: " + "[" * 5_000 + "]" * 5_000, "line 1: more than 30 levels"),
    "deep mappings": ("".join(f"{' ' * n}a:\n" for n in range(3_000)), "line 31: more than 30 levels"),
    "NUL": ("currency: 'G\0P'\n", "special characters are not allowed"),
    "a day that there is not": ("start_month: 2011-13-45\n", "is not readable YAML: month must be in 1..12"),
    "a number that is none": ("horizons_months: !!int x\n", "is not readable YAML: invalid literal"),
}
#: What YAML allows, and no setting is.
WRONG = {
    "a long text by many aliases": (LONG, "unknown key 'text'"),
    "many keys": ("\n".join(f"k{n}: 1" for n in range(3_000)), "And 2990 more"),
    "a long value": (f"currency: {'x' * 500_000}\n", "line 1: currency"),
    "a long key": (f"? {'k' * 500_000}\n: 1\n", "unknown key 'kkk"),
    "a long environment": (f"environment: {'x' * 500_000}\n", "there is no environment 'xxx"),
}


def refused(read: Callable[[Path], object], path: Path, text: str) -> str:
    """Return what is said of a file."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 6_000
    return str(error.value)


@pytest.mark.parametrize(("text", "said"), ODD.values(), ids=ODD)
def test_odd_yaml_is_refused_in_few_words(tmp_path: Path, text: str, said: str) -> None:
    # Components have other files, which are read in the same way.
    for read in (load_settings, read_documents):
        assert said in refused(read, tmp_path / "cltv.yaml", text)


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_told_at_no_length(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(load_settings, tmp_path / "cltv.yaml", text)


@pytest.mark.parametrize("text", [BOMB, "&me [*me]", "!!python/name:os.system", "[" * 5_000], ids=str.__len__)
def test_a_variable_is_refused_too(text: str) -> None:
    with pytest.raises(ConfigError, match="variable CLTV_CURRENCY, line") as error:
        load_settings(environ={"CLTV_CURRENCY": text})
    assert len(str(error.value)) < 1_000


def test_plain_aliases_and_tags_stay_allowed(tmp_path: Path) -> None:
    path = tmp_path / "cltv.yaml"
    path.write_text("currency: &unit !!str GBP\nsource: {missing_values: [*unit, x]}\n", encoding="utf-8")
    settings = load_settings(path, {})
    assert settings.currency == "GBP"
    assert settings.source.missing_values == ("GBP", "x")
