"""``ci-gate demo``: the main job, twice, on the embedded endpoint."""

from __future__ import annotations

from pathlib import Path

import click

from ci_gate.cli.output import drain
from ci_gate.cli.run import CheckOptions, run_check
from ci_gate.cli.signals import raising_signals
from ci_gate.errors import ExitCode, InternalError, ReportError
from ci_gate.model import normalise_digest

CLEAN = "registry.example.com/shop/api:1.4.3"
DIRTY = "registry.example.com/shop/api:1.4.2"


@click.command(short_help="Show the main job, no account needed.")
@click.option(
    "--report-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("ci-gate-reports"),
    show_default=True,
    help="Where the reports go.",
)
def demo(report_dir: Path) -> ExitCode:
    """Show the main job on the embedded endpoint, no account needed: one image passes, one is blocked.

    Real SDK, real HTTP, emulated service. Exits 0 when the demonstration worked.
    """
    from ci_gate.cli.emulate import read_world

    world = read_world(None)

    def say(text: str) -> None:
        drain()  # what was said on stderr comes first
        click.echo(text)

    wanted = {CLEAN: ExitCode.PASSED, DIRTY: ExitCode.BLOCKED}
    explained = {
        CLEAN: "Exit code 0: every page of every key was read, the proofs held, and nothing breaks the policy.",
        DIRTY: "Exit code 10: the image carries denied keys, so the deploy is blocked. This is what the gate is for.",
    }
    for number, (name, code) in enumerate(wanted.items(), 1):
        digest = next(image.digest for image in world.images if image.reference == name)
        reference = f"{name}@sha256:{normalise_digest(digest)}"
        folder = report_dir / name.rpartition(":")[2]
        say(f"\n[{number}/{len(wanted)}] ci-gate check {reference} --emulate --report-dir {folder}\n")
        with raising_signals():  # the check before this one ignores them since its end
            got = run_check(CheckOptions(images=(reference,), emulate="", report_dir=folder))
        if got is ExitCode.REPORT_FAILED:
            raise ReportError("the reports of the demonstration could not be written", advice="Choose another --report-dir.")
        if got in {ExitCode.INTERRUPTED, ExitCode.TERMINATED}:
            return got
        if got is not code:
            raise InternalError(f"the demonstration ended with {int(got)} where {int(code)} was due", advice="Report this as a bug.")
        say(f"\n{explained[name]}\nReports: {folder}/junit.xml, summary.md, results.sarif, result.json")
    say("\nBoth verdicts are as they should be. Next: read the summary.md of each, then try `ci-gate check --help`.")
    return ExitCode.PASSED
