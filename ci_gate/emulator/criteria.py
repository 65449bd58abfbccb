"""The search conditions of listings: which there are, and what they match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ci_gate.emulator.refusals import invalid_parameter

if TYPE_CHECKING:
    from ci_gate.emulator.fields import JsonObject
    from ci_gate.emulator.state import State

Values = Mapping[str, Iterable[object]]
"""The values of a row by the name of the criterion in lower case; a repository has the tags of all its images."""

_FIELDS = {
    "instanceid": "InstanceId",
    "reponame": "RepoName",
    "repoid": "RepoId",
    "reponamespace": "RepoNamespace",
    "regionid": "RegionId",
    "vulstatus": "VulStatus",
    "alarmstatus": "AlarmStatus",
    "hcstatus": "HcStatus",
    "riskstatus": "RiskStatus",
    "registrytype": "RegistryType",
    "imageid": "ImageId",
    "tag": "Tag",
    "digest": "Digest",
}
_YES_NO = frozenset({"vulstatus", "alarmstatus", "hcstatus", "riskstatus"})


def values_of(row: JsonObject) -> dict[str, tuple[object, ...]]:
    """Return what criteria match in a row of a listing."""
    return {name: (row[field],) for name, field in _FIELDS.items() if field in row}


def matcher(state: State, values: Mapping[str, Any], supported: Iterable[str]) -> Callable[[Values], bool]:
    """Return a test for the rows that the parameters of a call ask for; criteria match parts of values, as the service's may do.

    :param supported: the criteria that the listing supports; a name counts in any case, as the documents spell one in two ways.
    :raises RefusalError: if one is asked for that is not supported, unless the world's quirks have it ignored.
    """
    known = {name.lower() for name in supported}
    given = values.get("Criteria", ())
    refused = [one["name"] for one in given if one["name"].lower() not in known]
    if refused and state.world.quirks.unsupported_criteria == "refuse":
        raise invalid_parameter("Criteria", f"there is no criterion {refused[0][:40]!r}")
    wanted = [one for one in given if one["name"].lower() in known]
    logic = values.get("LogicalExp") or next((one["logicalExp"] for one in given if "logicalExp" in one), "OR")
    combine = all if logic == "AND" else any

    def matches(row: Values) -> bool:
        return not wanted or combine(any(one["value"] in str(value) for value in row.get(one["name"].lower(), ())) for one in wanted)

    return matches


def criterion_row(name: str, *, chosen: bool) -> JsonObject:
    """Return a criterion as a row of the calls that name them; ``chosen``: one of given values is chosen, not typed in."""
    has_values = name.lower() in _YES_NO
    return {"Type": "select" if chosen and has_values else "input", "Name": name, "Values": "NO,YES" if has_values else ""}
