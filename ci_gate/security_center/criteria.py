"""Listing the images of the account by what it can be asked for: which criteria that is, the documents contradict each other about."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ci_gate.errors import GateError, error_for
from ci_gate.security_center.paging import Request, read_listings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ci_gate.deadline import Deadline
    from ci_gate.errors import Cause
    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.transport import Transport

INSTANCES = "DescribeImageInstances"
_REPO_NAME, _DIGEST = "reponame", "digest"
_FEW_ROWS = 100  # one page: a repository of that size is read whole rather than asked for one digest first
_PATIENCE_S = 10.0
_EDITION = (
    " If the identity has it, the account's edition of Security Center does not include container image security: it is part of "
    "Advanced, Enterprise and Ultimate, or bought as a value-added feature."
)


class Images:
    """The images of the account. Safe to use from several threads; asks for the names of criteria once."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._lock = threading.Lock()
        self._names: frozenset[str] | None = None
        self._small: set[str] = set()  # repositories, by name, that fit on a page

    def of_repository(
        self, names: Iterable[str], digest: str | None, wanted: Callable[[JsonObject], bool], deadline: Deadline
    ) -> list[JsonObject]:
        """Return rows among which those that are wanted are, if there are any: the service matches fuzzily, so callers filter again.

        :param names: how the service may name the repository, the likeliest first.
        :param digest: bare hex: asked for first, where that narrows the listing; before nothing is found, all of the repository is read.
        :raises GateError: if a listing cannot be read to its end.
        """
        supported = self._supported(deadline)
        rows: list[JsonObject] = []
        for name in names if _REPO_NAME in supported else [""]:
            by_name = (("repoName", name),) if name else ()
            if digest and _DIGEST in supported and name not in self._small:
                rows = self._read((*by_name, ("digest", digest)), deadline)
                if any(map(wanted, rows)):
                    return rows
            rows = self._read(by_name, deadline)
            if len(rows) <= _FEW_ROWS:
                self._small.add(name)
            if any(map(wanted, rows)):
                return rows
        return rows

    def _supported(self, deadline: Deadline) -> frozenset[str]:
        """Return the names of the criteria that the account supports, in lower case; where it does not tell, those that work by habit."""
        with self._lock:
            if self._names is None:
                names: set[str] = set()
                soon = deadline.within(_PATIENCE_S)  # habit does as well: the listing gets the time, and says so if nothing answers
                try:
                    for action in ("DescribeImageCriteria", "DescribeImageRepoCriteria"):
                        names.update(row["Name"].lower() for row in self.transport.call(action, {}, soon).rows)
                        if _REPO_NAME in names:
                            break
                except GateError:
                    names.add(_REPO_NAME)
                self._names = frozenset(names)
            return self._names

    def _read(self, criteria: tuple[tuple[str, str], ...], deadline: Deadline) -> list[JsonObject]:
        """Read all images that match all criteria.

        :raises GateError: if the listing cannot be read to its end.
        """
        parameters: tuple[tuple[str, object], ...] = ()
        if criteria:
            text = json.dumps([{"name": name, "value": value} for name, value in criteria], separators=(",", ":"))
            parameters = (("Criteria", text), ("LogicalExp", "AND"))
        listing = read_listings(self.transport, [Request(INSTANCES, parameters)], deadline)[0]
        if listing.cause is not None:
            raise error_for(diagnosed(listing.cause))
        return [row.fields for row in listing.rows]


def diagnosed(cause: Cause) -> Cause:
    """Say of a bare refusal all that it can mean: the service answers a lack of the feature like a lack of permission."""
    return cause if cause.permission is None else replace(cause, advice=cause.advice + _EDITION)
