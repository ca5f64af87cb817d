"""The article's formulas with the article's numbers, slips and all."""

from __future__ import annotations

import pytest

from colonnade.planning import article


def test_the_examples_are_reproduced() -> None:
    """Row 11 of the requirements: 0.15 s; 25,000 where 2,500 is printed; 0.1167 s where 0.1 s is printed; 1,700/s."""
    assert [example.computed for example in article.examples()] == pytest.approx(
        [0.15, 25_000, 0.116667, 1_700], rel=1e-5
    )
    assert [example.printed for example in article.examples()] == ["0.15 s", "2,500/s", "0.1 s", "1,700/s"]


def test_slips_are_told_where_there_are_any() -> None:
    assert [bool(example.slip) for example in article.examples()] == [False, True, True, False]


def test_what_holds_instead_is_said_with_its_numbers() -> None:
    first, second, third, fourth = (example.theory for example in article.examples())
    assert "50/s at most" in first
    assert "grows by 50 requests every second" in first
    assert "from 11 servers on" in first
    assert "serve 50/s" in second
    assert "0.35 s" in third
    assert "200/s" in fourth


def test_one_server_of_the_first_formula() -> None:
    assert article.server_response_s(5, 100, 0.2) == pytest.approx(0.25)
