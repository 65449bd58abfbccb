"""``ci-gate keys``: the catalog."""

from __future__ import annotations

import json

import click

from ci_gate.catalog import load_catalog
from ci_gate.cli.shared import write_listing
from ci_gate.errors import ExitCode, UsageError


@click.command(short_help="List the sensitive-file keys, by group.")
@click.option("--group", metavar="GROUP", help="Only the keys of one group.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print them.")
def keys(group: str | None, form: str) -> ExitCode:
    """List the sensitive-file keys that policies can name, by group."""
    catalog = load_catalog()
    groups = [candidate for candidate in catalog.groups if group in {None, candidate.name}]
    if not groups:
        names = ", ".join(candidate.name for candidate in catalog.groups)
        raise UsageError(f"there is no group {group!r}", advice=f"The groups are {names}.")
    by_name = {key.key: key for key in catalog.keys}
    if form == "json":
        document = [
            {
                "group": candidate.name,
                "description": candidate.description,
                "keys": [{"key": name, "en": by_name[name].name_en, "zh": by_name[name].name_zh} for name in candidate.keys],
            }
            for candidate in groups
        ]
        write_listing(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return ExitCode.PASSED
    width = max(len(name) for candidate in groups for name in candidate.keys)
    parts = [
        f"{candidate.name}: {candidate.description}\n"
        + "".join(f"  {name:<{width}}  {by_name[name].name_en}  ({by_name[name].name_zh})\n" for name in candidate.keys)
        for candidate in groups
    ]
    write_listing("\n".join(parts))
    return ExitCode.PASSED
