"""Documentation strings become short prose: the summary, what goes in and what comes out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.embedded.docstrings import MOST_WORDS, cut, passage

NUMPY_LAYOUT = """
    largest(a, axis=None)

    Find the largest value with :func:`numpy.max`.

    .. versionadded:: 1.7
       A new option.

    Parameters
    ----------
    a : array_like
        The values to look at. They stay as they are.
    axis : int, optional
        The axis to go along.

    Returns
    -------
    out : scalar
        The ``largest`` one.

    Notes
    -----
    A digression.

    Examples
    --------
    >>> largest([1, 2])
    2
    """


def test_numpy_layout_keeps_summary_parameters_and_returns():
    assert passage(NUMPY_LAYOUT) == (
        "Find the largest value with numpy.max. Parameters: a The values to look at. axis The axis to go along. "
        "Returns: out The largest one."
    )


def test_doctests_and_their_output_go_but_the_text_around_them_stays():
    assert passage("Add two.\n\n>>> add(1, 2)\n3\n\nThat is all.") == "Add two. That is all."


def test_a_signature_is_dropped_only_before_other_text():
    assert passage("sin(x) -> float\n\nThe sine of x.") == "The sine of x."
    assert passage("sin(x)") == "sin(x)"


def test_an_underlined_title_is_dropped():
    assert passage("Tools\n=====\n\nFor this and that.") == "For this and that."


def test_cut_ends_after_a_sentence_when_one_ends_late_enough():
    assert cut("One two three. Four five six.", 5) == "One two three."
    assert cut("One two three four five six.", 4) == "One two three four"


@given(st.text(max_size=400))
def test_any_string_becomes_one_line_of_bounded_length(text):
    result = passage(text)
    assert result == " ".join(result.split())
    assert len(result.split()) <= MOST_WORDS
