"""Env files: what is read, what is refused, and that no refusal shows a value."""

from __future__ import annotations

import pytest

from colonnade.spec.envfile import EnvFileError, parse_env


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("A=1", "A", "1"),
        ("  A = 1  ", "A", "1"),
        ("export A=1", "A", "1"),
        ("A=", "A", ""),
        ("A=''", "A", ""),
        ("A=two words", "A", "two words"),
        ("A=b#c", "A", "b#c"),
        ("A=b # comment", "A", "b"),
        ("A= # comment", "A", ""),
        ("A='it # is \"so\" $HOME\\n'", "A", 'it # is "so" $HOME\\n'),
        ("A='x' # comment", "A", "x"),
        (r'A="line\nbreak \"quoted\" back\\slash $X \$"', "A", 'line\nbreak "quoted" back\\slash $X $'),
        ("A=x=y=z", "A", "x=y=z"),
        ("A=it's", "A", "it's"),
        ("A=p$ss", "A", "p$ss"),
        ("_a9=ü", "_a9", "ü"),
        ("exported=1", "exported", "1"),
    ],
)
def test_one_line_is_one_variable(line: str, name: str, value: str) -> None:
    assert parse_env(line) == {name: value}


def test_comments_and_empty_lines_are_passed_over() -> None:
    assert parse_env("\ufeff# first\n\nA=1\r\n   # indented\nB=2\n") == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("A=1\ns3cret", 2, "expected KEY=value"),
        ("\n\n9A=s3cret", 3, "expected a name"),
        ("A-B=s3cret", 1, "expected a name"),
        ("=s3cret", 1, "expected a name"),
        ("A='s3cret", 1, "the quoted value of A does not end"),
        ('A="s3cret', 1, "the quoted value of A does not end"),
        ("A='s3cret' more", 1, "the quoted value of A"),
        ("A=1\nA=s3cret", 2, "A is given for the second time"),
    ],
)
def test_a_broken_line_is_named_by_its_number_and_never_shown(text: str, line: int, says: str) -> None:
    with pytest.raises(EnvFileError, match=f"line {line}: .*{says}") as caught:
        parse_env(text)
    assert caught.value.line == line
    assert "s3cret" not in str(caught.value)
