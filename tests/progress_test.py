"""Progress goes to standard error and changes nothing about the items."""

from tfmeta import progress


def test_the_items_come_through_in_order():
    assert list(progress.bar(range(5), "Counting")) == [0, 1, 2, 3, 4]


def test_items_are_taken_one_at_a_time():
    taken = []

    def source():
        for item in range(3):
            taken.append(item)
            yield item

    bar = progress.bar(source(), "Counting", total=3)
    assert next(bar) == 0
    assert taken == [0]


def test_results_on_standard_output_stay_clean(capsys):
    list(progress.bar(range(4), "Counting", unit="image"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Counting" in captured.err
    assert "4/4" in captured.err


def test_a_log_file_is_not_flooded(capsys):
    # Not a terminal: the first and the last state, and nothing in between within half a minute.
    list(progress.bar(range(1000), "Counting"))
    assert capsys.readouterr().err.count("\r") <= 2
