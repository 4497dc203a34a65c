"""The stages of a project, in the order in which they run: train, search, retrain, export, report.

Each is one function of a `Project` and its own frozen options. It reads what the stage before left in the work
directory, and can be killed at any moment: called again, it goes on.
"""
