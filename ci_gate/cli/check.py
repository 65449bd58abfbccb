"""``ci-gate check``: the main job. Options become one typed value, then one call runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_gate.cli.parameters import connection_options, floor_options, policy_option, report_options
from ci_gate.cli.run import CheckOptions, run_check

if TYPE_CHECKING:
    from ci_gate.errors import ExitCode

_WORLD_SUFFIXES = {".yaml", ".yml", ".json"}


@click.command(short_help="Decide whether images may be deployed: the main job.")
@click.argument("images", nargs=-1, metavar="IMAGE...")
@policy_option
@floor_options
@report_options(envvar="CI_GATE_REPORT_DIR")
@click.option(
    "--metadata-file",
    type=click.Path(path_type=Path),
    help="Take the digest from the file that `docker buildx build --metadata-file` wrote.",
)
@click.option("--images-file", metavar="FILE", help="Name images in a file, one a line; - is standard input.")
@click.option(
    "--platform-digest",
    "platform_digests",
    multiple=True,
    metavar="DIGEST",
    help="An image behind the multi-platform index that IMAGE names; repeatable, every one is required.",
)
@click.option("--image-uuid", metavar="UUID", help="Resolve by Security Center's uuid; with IMAGE both must agree.")
@click.option(
    "--since",
    metavar="REF",
    help="An image that is deployed already: only findings that it does not have can block; denied keys always do.",
)
@connection_options
@click.option(
    "--scan",
    type=click.Choice(["auto", "never", "always"]),
    envvar="CI_GATE_SCAN",
    show_envvar=True,
    default="auto",
    show_default=True,
    help="Whether to request a scan: where the image has none, never, or in any case. Each may cost quota.",
)
@click.option("--include-containers", is_flag=True, help="Ask for findings of the image's containers too.")
@click.option(
    "--mode",
    type=click.Choice(["enforce", "warn"]),
    help="Override the policy's mode; warn only where the policy says allow_warn_override.",
)
@click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    envvar="CI_GATE_LANG",
    show_envvar=True,
    default="en",
    show_default=True,
    help="Language of the service's names and advice.",
)
@click.option(
    "--emulate",
    is_flag=False,
    flag_value="",
    metavar="[WORLD]",
    help="Ask the embedded endpoint instead; WORLD is a .yaml or .json file, without it the demo world.",
)
@click.option("--github", is_flag=True, help="Hand summary, outputs and annotations on to the job, as a step of GitHub Actions.")
@click.option("-v", "--verbose", count=True, help="Say each call; -vv with its parameters.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
def check(**options: Any) -> ExitCode:
    """Decide whether images may be deployed, and exit 0 only if every one of them may.

    \b
    IMAGE is registry/namespace/repository[:tag]@sha256:DIGEST, such as
      ci-gate check registry.example.com/shop/api:1.4.2@sha256:… --report-dir reports
    """  # noqa: D301 - \b is click's
    return run_check(_untangled(CheckOptions(**options)))


def _untangled(options: CheckOptions) -> CheckOptions:
    """``--emulate IMAGE`` means the demo world: a world file is known by its suffix."""
    if not options.emulate or Path(options.emulate).suffix.lower() in _WORLD_SUFFIXES:
        return options
    return replace(options, emulate="", images=(options.emulate, *options.images))
