"""The repository of an image that is not listed yet, and registries that Security Center cannot scan at all."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci_gate.errors import ExitCode, IncompleteError, error_for
from ci_gate.model import ImageReference, public_registry
from ci_gate.security_center.paging import Request, glance, read_listings

if TYPE_CHECKING:
    from ci_gate.deadline import Deadline
    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.transport import Transport

REPOSITORIES = "DescribeImageRepoDetailList"
_NO_NAMESPACE = {"", "n/a"}
# Both forms of the vendor's addresses: of instances made before September 2024, and since.
_PERSONAL = re.compile(r"registry(-vpc|-internal)?\.[a-z0-9-]+\.aliyuncs\.com|[a-z0-9-]+\.[a-z0-9-]+\.personal\.cr\.aliyuncs\.com")
_IDENTITY = ("RegistryType", "InstanceId", "RegionId", "RepoId", "RepoNamespace", "RepoName")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that Security Center knows. ``row`` holds the service's own words for it, which a request for a scan repeats."""

    row: JsonObject

    def __str__(self) -> str:
        """Return what tells it from another of the same name."""
        return f"{path_of(self.row)} (instance {self.row.get('InstanceId') or '?'}, region {self.row.get('RegionId') or '?'})"


def refuse_personal_edition(reference: ImageReference) -> None:
    """Refuse, before anything is asked, an image in a registry that Security Center cannot scan.

    :raises IncompleteError: for an address of Container Registry Personal Edition.
    """
    host = reference.registry.partition(":")[0].removesuffix(".")
    if _PERSONAL.fullmatch(host):
        raise IncompleteError(
            f"{reference}: Security Center cannot scan Container Registry Personal Edition, and {reference.registry} is an address of it",
            advice="Push the image to an Enterprise Edition instance (its addresses end in .cr.aliyuncs.com), or to a connected registry.",
        )


def find_repositories(transport: Transport, reference: ImageReference, deadline: Deadline) -> tuple[Repository, ...]:
    """Return the repositories that a reference may mean, matched exactly; more than one where registries cannot be told apart.

    :raises GateError: if they cannot be listed.
    """
    found: dict[tuple[object, ...], Repository] = {}
    for name in names_of(reference):
        for row in _named(transport, name, deadline):
            if is_in_repository(row, reference):
                found.setdefault(tuple(row.get(part) for part in _IDENTITY), Repository(row))
        if found:
            break
    return tuple(found.values())


def _named(transport: Transport, name: str, deadline: Deadline) -> list[JsonObject]:
    """Read the repositories whose name matches, fuzzily; where the account has no such criterion, all of them.

    :raises GateError: if they cannot be listed.
    """
    text = json.dumps([{"name": "repoName", "value": name}], separators=(",", ":"))
    listing = read_listings(transport, [Request(REPOSITORIES, (("Criteria", text), ("LogicalExp", "AND")))], deadline)[0]
    if listing.cause is not None and listing.cause.code is ExitCode.PROTOCOL:
        everything = Request(REPOSITORIES, ())
        glance(transport, everything, deadline)  # tells a refusal, which is raised as such, from nonsense
        listing = read_listings(transport, [everything], deadline)[0]
    if listing.cause is not None:
        raise error_for(listing.cause)
    return [row.fields for row in listing.rows]


def names_of(reference: ImageReference) -> tuple[str, ...]:
    """Return the names by which the service may know the repository: its last part, or more of a nested path, the likeliest first."""
    parts = [*reference.namespace.split("/"), reference.repository] if reference.namespace else [reference.repository]
    # A namespace of one part is one to the service; of a nested path it is not known where the name begins.
    least = 0 if len(parts) > 2 else len(parts) - 1  # noqa: PLR2004 - namespace and name
    return tuple("/".join(parts[start:]) for start in range(len(parts) - 1, least - 1, -1))


def namespace_of(row: JsonObject) -> str:
    """Return the namespace of a row; ``N/A`` is none."""
    namespace = str(row.get("RepoNamespace") or "")
    return "" if namespace.lower() in _NO_NAMESPACE else namespace


def path_of(row: JsonObject) -> str:
    """Return ``namespace/repository`` of a row: what is one part to the service and what the other does not matter."""
    return "/".join(part for part in (namespace_of(row), str(row.get("RepoName") or "")) if part)


def is_in_repository(row: JsonObject, reference: ImageReference) -> bool:
    """Whether a row is of the repository of a reference: by its whole path, and by the registry's host where the row tells it."""
    path = "/".join(part for part in (reference.namespace, reference.repository) if part)
    if not row.get("RepoName") or path_of(row) != path:
        return False
    hosts = {public_registry(host) for host in hosts_of(row)}
    return not hosts or public_registry(reference.registry) in hosts


def hosts_of(row: JsonObject) -> set[str]:
    """Return the registry hosts that a row names: ``Endpoints`` is JSON, as text, or a bare host.

    The documented form is ``[{"domains": ["…"], "type": "internet"}, …]``: a word without a dot or a port is no host.
    """
    endpoints = row.get("Endpoints")
    try:
        found = json.loads(endpoints) if isinstance(endpoints, str) else None
    except (ValueError, RecursionError):
        found = endpoints
    hosts, unread = set(), [found]
    while unread:
        value = unread.pop()
        if isinstance(value, dict):
            unread.extend(value.values())
        elif isinstance(value, list):
            unread.extend(value)
        elif isinstance(value, str):
            host = value.strip().rpartition("://")[2].partition("/")[0]
            if "." in host or ":" in host or host == "localhost":
                hosts.add(host)
    return hosts
