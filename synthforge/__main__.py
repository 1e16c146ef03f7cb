"""`python -m synthforge`, for running from a source checkout."""

from synthforge.cli import run

run()
