"""Runtime type checker of the tests: an int passes for a float, as PEP 484 says."""

import inspect

import numba
from beartype import BeartypeConf, beartype

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))

_njit = numba.njit


def _njit_unwrapped(*args, **options):
    """numba.njit of the bare function: compiled kernels cannot be checked, their callers are."""
    if args:
        return _njit(inspect.unwrap(args[0]))
    return lambda function: _njit(**options)(inspect.unwrap(function))


numba.njit = _njit_unwrapped
