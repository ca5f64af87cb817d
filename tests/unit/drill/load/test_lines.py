"""What people read after a run."""

from colonnade.drill.checkers.writes import Held, check_writes
from colonnade.drill.load.ledger import ErrorKind, Outcome
from colonnade.drill.load.lines import check_lines, summary_lines
from colonnade.drill.load.summary import summarize

from ..builders import answered_at, history, write


def test_the_figures_say_outcomes_errors_gaps_and_the_generators_own_lag() -> None:
    failed = write("f", Outcome.UNKNOWN, intended_at=2.0, done_at=3.0, error="http_503")

    text = "\n".join(summary_lines(summarize(history(*answered_at(1.0, 4.0), failed))))

    assert "3: 2 ok, 0 failed, 1 unknown" in text
    assert "http_503 1" in text
    assert "longest without success 6000 ms and still so at the end" in text
    assert "lag p50" in text
    assert "do not judge" not in text


def test_a_doubt_is_said_last() -> None:
    saturated = write("s", Outcome.FAILED, sent_at=None, error=ErrorKind.GENERATOR_SATURATED)

    *_, last = summary_lines(summarize(history(saturated)))

    assert last == "do not judge: 1 operations were not sent: generator_saturated"


def test_a_check_names_the_first_of_what_it_found() -> None:
    writes = [write(f"w{number}") for number in range(9)]

    lines = list(check_lines(check_writes(writes, [Held("1", "w0"), Held("2", "w0")])))

    assert lines[0].startswith("check       invalid: of 9 acknowledged writes 8 are lost")
    assert "            lost: w1, w2, w3, w4, w5 …" in lines
    assert "            doubled: w0" in lines
