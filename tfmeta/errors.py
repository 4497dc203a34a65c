"""The errors that a user can mend.

Every one says what was expected, what was received and what to do. The command line prints them without a traceback.
"""


class UserError(ValueError):
    """A mistake in the input: a model, a flag, a folder, a budget."""


class GraphError(UserError):
    """The model cannot be read as a channel graph."""


class SpaceError(UserError):
    """A structure or a search space does not fit its graph."""


class BudgetError(SpaceError):
    """No structure of the space meets the constraints."""


class DataError(UserError):
    """A data set cannot be found, read or split."""


class TrainingError(UserError):
    """Training cannot go on, for example because the loss is not a number."""


class StoreError(UserError):
    """The store of trials is corrupt or belongs to another search."""


class WorkdirError(UserError):
    """The work directory belongs to another model or configuration, or lacks an earlier stage."""


class ExportError(UserError):
    """A model cannot be converted, or its file does not compute what the model computes."""
