"""``python -m ci_gate``."""

from ci_gate.cli.main import run

if __name__ == "__main__":
    run()
