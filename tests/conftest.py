"""For all tests."""

from signal import SIG_DFL, SIGHUP, signal

signal(SIGHUP, SIG_DFL)  # under `nohup` it is ignored, here and in every command that is run, which must keep to that
