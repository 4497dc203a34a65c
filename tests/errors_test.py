"""Every error that a user can mend is caught by one name."""

import inspect

import pytest

from tfmeta import errors

ERRORS = [value for _, value in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_a_user_error_that_says_when_it_arises(error):
    assert issubclass(error, errors.UserError)
    assert issubclass(error, ValueError)
    assert "__doc__" in vars(error), "An inherited docstring says nothing about this error."
    assert str(error("Expected 1. Received: 2.")) == "Expected 1. Received: 2."


def test_a_budget_error_is_a_space_error():
    assert issubclass(errors.BudgetError, errors.SpaceError)
