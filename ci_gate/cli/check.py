"""``ci-gate check``: the main job. Options become one typed value, then one call runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_gate.cli.parameters import Duration, Output
from ci_gate.cli.run import DEFAULT_REGION, CheckOptions, run_check

if TYPE_CHECKING:
    from ci_gate.errors import ExitCode

_WORLD_SUFFIXES = {".yaml", ".yml", ".json"}


@click.command(short_help="Decide whether images may be deployed: the main job.")
@click.argument("images", nargs=-1, metavar="IMAGE...")
@click.option(
    "-p",
    "--policy",
    metavar="FILE|NAME",
    envvar="CI_GATE_POLICY",
    show_envvar=True,
    help="Policy file, or a built-in: default, strict, audit.  [default: .ci-gate.yml or ci-gate.yml here, else the built-in default]",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=Output(),
    help="Write a report; repeatable. Formats: junit, markdown, json. PATH - is stdout.",
)
@click.option(
    "--report-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CI_GATE_REPORT_DIR",
    show_envvar=True,
    help="Write junit.xml, summary.md and result.json there.",
)
@click.option(
    "--metadata-file",
    type=click.Path(path_type=Path),
    envvar="CI_GATE_METADATA_FILE",
    show_envvar=True,
    help="Take the digest from the file that `docker buildx build --metadata-file` wrote.",
)
@click.option("--image-uuid", metavar="UUID", help="Resolve by Security Center's uuid; with IMAGE both must agree.")
@click.option(
    "--region",
    envvar=["CI_GATE_REGION", "ALIBABA_CLOUD_REGION_ID"],
    show_envvar=True,
    default=DEFAULT_REGION,
    show_default=True,
    help="Region of Security Center (not of the registry): cn-shanghai for China, ap-southeast-1 elsewhere.",
)
@click.option(
    "--endpoint", envvar="CI_GATE_ENDPOINT", show_envvar=True, metavar="HOST[:PORT]", help="Endpoint of the vendor, or one on loopback."
)
@click.option("--allow-endpoint", is_flag=True, help="Accept an --endpoint that is neither; signed requests go there.")
@click.option("--include-containers", is_flag=True, help="Ask for findings of the image's containers too.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    envvar="CI_GATE_TIMEOUT",
    show_envvar=True,
    default="10m",
    show_default=True,
    help="One deadline over everything.",
)
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
