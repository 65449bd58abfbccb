"""The figures of speed: their arithmetic, and that README, docs and chart say what was measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import bench
import chart as drawing
import figures
import judging
import pytest
import throttling

MEASURED = figures.Measured.of_json(bench.FIGURES.read_text("utf-8"))
FASTER = figures.Figure("reading", "s", (2.0, 1.0, 4.0), (20.0, 30.0), "at least", 8.0)
COSTS = figures.Figure("`--help`", "ms", (72.0,), (59.0,), "at most", 2.0)
AMOUNT = figures.Figure("memory", "MB", (1171.6, 900.0), bound=1000.0)
UNPROMISED = figures.Figure("small", "s", (0.25,))
FOUR = figures.Measured(2, "3.11.7", (FASTER, COSTS, AMOUNT, UNPROMISED))


@pytest.mark.parametrize(
    ("figure", "value", "held"),
    [
        (FASTER, 12.5, True),
        (figures.Figure("reading", "s", (2.5,), (20.0,), "at least", 8.0), 8.0, True),
        (figures.Figure("reading", "s", (2.51,), (20.0,), "at least", 8.0), 7.97, False),
        (COSTS, 1.22, True),
        (figures.Figure("`--help`", "ms", (119.0,), (59.0,), "at most", 2.0), 2.017, False),
        (AMOUNT, 1035.8, False),
        (UNPROMISED, 0.25, True),
    ],
)
def test_a_figure_is_the_ratio_of_medians_or_the_median_and_is_held_against_its_bound(figure, value, held):
    assert (pytest.approx(value, rel=0.001), held) == (figure.value, figure.held)


def test_the_file_of_figures_is_read_as_it_was_written():
    assert FOUR == figures.Measured.of_json(FOUR.as_json())


def test_the_table_shows_medians_the_least_and_the_most_and_what_was_missed():
    every, promised = (figures.table(FOUR, promised_only=only).splitlines() for only in (False, True))

    assert (
        [
            "| reading | 25 s (20–30) | 2 s (1–4) | 12.5 × | at least 8 × |",  # noqa: RUF001 - as it is printed
            "| `--help` | 59 ms | 72 ms | 1.22 × | at most 2 × |",  # noqa: RUF001
            "| memory |  | 1,036 MB (900–1,172) |  | at most 1,000 MB: **missed** |",  # noqa: RUF001
            "| small |  | 0.25 s |  |  |",
        ]
        == every[2:6]
    )
    assert every[:5] == promised[:5]
    assert not any("small" in line for line in promised)
    assert "2 cores, Python 3.11.7" in every[-1]


def test_the_chart_has_a_bar_as_long_as_each_ratio_and_a_line_at_its_bound():
    odd = figures.Figure('<b>&"', "s", (1.0,), (4.0,), "at least", 5.0)
    space = "{http://www.w3.org/2000/svg}"

    picture = ET.fromstring(drawing.chart(figures.Measured(2, "3", (FASTER, COSTS, odd))))

    plain, *bars = [float(bar.attrib["width"]) for bar in picture.iter(f"{space}rect")]
    assert [pytest.approx(12.5, rel=0.05), pytest.approx(4, rel=0.05)] == [bar / plain for bar in bars]
    lines = [float(line.attrib["x1"]) - drawing._LEFT for line in picture.iter(f"{space}line")]
    assert [pytest.approx(8, rel=0.05), pytest.approx(5, rel=0.05)] == [line / plain for line in lines]
    assert odd.what in [text.text for text in picture.iter(f"{space}text")]


def test_what_is_throttled_while_the_rate_is_learnt_does_not_count():
    learning = [200, 200, 400, 400, 200]

    assert 0.0 == throttling.throttled_share([200] * 9, per_second=3)
    assert 0.0 == throttling.throttled_share([*learning, 200, 200], per_second=3)
    assert 0.25 == throttling.throttled_share([*learning, 200, 400, 200, 200], per_second=3)


def test_judging_and_every_report_can_be_measured():
    seconds, peak_mb = judging.judge_and_write(20, 10)

    assert 0 < seconds < 10
    assert 10 < peak_mb < 10_000


# --- what is published ---


@pytest.mark.parametrize("page", bench.TABLES, ids=lambda page: page.name)
def test_the_tables_are_made_from_the_figures(page):
    text = page.read_text("utf-8")

    assert bench.with_table(text, figures.table(MEASURED, promised_only=bench.TABLES[page])) == text


def test_the_chart_is_made_from_the_figures():
    assert drawing.chart(MEASURED) == bench.CHART.read_text("utf-8")


def test_every_promise_of_speed_was_measured():
    promised = {(figure.sense, round(figure.bound, 2), figure.value_unit) for figure in MEASURED.figures if figure.bound is not None}

    assert {
        ("at least", 13.6, figures.TIMES),
        ("at least", 8.0, figures.TIMES),
        ("at most", 2.0, figures.TIMES),
        ("at most", 3.0, figures.TIMES),
        ("at most", 5.0, "s"),
        ("at most", 300.0, "MB"),
        ("at most", 1.2, figures.TIMES),
        ("at most", 5.0, "% of calls"),
    } == promised


def test_a_page_without_its_marks_is_not_written():
    with pytest.raises(ValueError, match="marks"):
        bench.with_table("# Speed\n", "a table")
