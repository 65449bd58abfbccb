"""A disk that becomes full."""

import resource
from contextlib import contextmanager


@contextmanager
def no_file_larger_than(size):
    """Let no file of this process become larger than so many bytes within the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
