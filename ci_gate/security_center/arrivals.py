"""Waiting for an image that was pushed just now: until Security Center lists it, with what is done so that it does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci_gate.errors import IncompleteError, RefusedError, UnauthorizedError
from ci_gate.security_center.criteria import INSTANCES
from ci_gate.security_center.images import identify, require_digest, rows_for, why_not_listed
from ci_gate.security_center.repositories import REPOSITORIES, Repository, find_repositories
from ci_gate.security_center.scan_requests import FAILED, HOW_TO_SCAN, Lacking, NotYet, ScanMode, ScanRequest, Target

if TYPE_CHECKING:
    from ci_gate.deadline import Deadline
    from ci_gate.model import EvidenceRules, Image, ImageReference, Proof
    from ci_gate.security_center.contracts import JsonObject
    from ci_gate.security_center.criteria import Images
    from ci_gate.security_center.scan_requests import ScanDesk
    from ci_gate.security_center.waiting import Wait

_UNKNOWN_REPOSITORY_S = 60.0
_SHOWN_CANDIDATES = 5


@dataclass(slots=True)
class _Arrival:
    """An image on its way into the listing: what was asked for so far, and what is in the way."""

    images: Images
    desk: ScanDesk
    reference: ImageReference
    wait: Wait
    rows: list[JsonObject]
    repositories: tuple[Repository, ...] | None = None
    request: ScanRequest | None = None
    state: str = ""  # what is waited for, in words
    stage: str = "resolve"
    note: str = ""
    asks_repository: bool = True
    asks_scan: bool = True

    @property
    def deadline(self) -> Deadline:
        return self.wait.deadline

    def until_listed(self) -> tuple[Image, Proof]:
        """Look, and have the image synchronised, until it is listed.

        :raises IncompleteError: if that does not happen in time, or cannot.
        """
        while (found := identify(self.rows, self.reference)) is None:
            with self.wait.looking(self.not_listed):
                self._prepare()
            self.wait.say(self.stage, self.state)
            with self.deadline.stage(self.stage):
                in_time = self.wait.pause()
            if not in_time:
                raise self.not_listed()
            with self.wait.looking(self.not_listed):
                self.rows = rows_for(self.images, self.reference, self.deadline)
        return found

    def not_listed(self) -> IncompleteError:
        """Say that the image is not listed, and why, as far as that is known."""
        waited = f", after {self.wait.waited_s:.0f} s of waiting: {self.state}" if self.state else ""
        note = f"; {self.note}" if self.note else ""
        advice = why_not_listed(self.reference, self.rows)
        return IncompleteError(f"Security Center does not list {self.reference}{waited}{note}", advice=advice, action=INSTANCES)

    def _prepare(self) -> None:
        """Do what makes the image appear: find its repository, and ask for a scan."""
        self.stage, self.state = "resolve", "waiting until Security Center lists the image"
        if self.request is not None:
            self._look_at_task(self.request)
        elif self._repository_is_known():
            self._ask()

    def _repository_is_known(self) -> bool:
        """Look the repository up, unless that is done or cannot be.

        :raises IncompleteError: if it stays unknown, or several have its name.
        """
        if self.asks_repository and (self.repositories is None or len(self.repositories) != 1):
            try:
                self.repositories = find_repositories(self.images.transport, self.reference, self.deadline)
            except (UnauthorizedError, RefusedError) as error:
                if isinstance(error, UnauthorizedError) and error.cause.permission is None:
                    raise
                self.asks_repository = False
                why = f"{error.cause.permission} is lacking" if error.cause.permission else error.cause.sentence
                self.note = f"the repository could not be looked up ({why}), so it waited for the account to synchronise"
        if self.repositories is None:
            return False
        if len(self.repositories) == 1:
            return True
        count = len(self.repositories)
        self.state = (
            f"Security Center knows {count} repositories of that name" if count else "Security Center does not know the repository (yet)"
        )
        if self.wait.waited_s >= _UNKNOWN_REPOSITORY_S:
            raise self._no_repository()
        return False

    def _no_repository(self) -> IncompleteError:
        if not self.repositories:
            return IncompleteError(
                f"Security Center does not know the repository of {self.reference}, nor the image, after {self.wait.waited_s:.0f} s",
                advice="Check the name and --region, and that the registry is connected to Security Center (Assets, Container); "
                "a new repository may take until the next synchronisation of assets.",
                action=REPOSITORIES,
            )
        shown = "; ".join(map(str, self.repositories[:_SHOWN_CANDIDATES]))
        return IncompleteError(
            f"{self.reference} is ambiguous: the image is not listed, and Security Center knows {len(self.repositories)} repositories "
            f"of that name: {shown}",
            advice="Scan the image in Security Center, then run again; or name the image that is meant with --image-uuid.",
            action=REPOSITORIES,
        )

    def _ask(self) -> None:
        """Ask for the synchronisation and a scan of the image; a reference by tag alone can only be waited for."""
        if self.reference.digest is None or not self.asks_scan or not self.repositories:
            return
        target = Target(self.repositories[0].row, self.reference.digest, self.reference.tag or "")
        outcome = self.desk.ask(target, self.wait)
        if isinstance(outcome, ScanRequest):
            self.request = outcome
            self.state = f"its scan is asked for (task {outcome.task or 'of someone else'}), waiting until the image is listed"
        elif isinstance(outcome, Lacking):
            self.asks_scan, self.note = False, outcome.why
            self.state = f"waiting until Security Center lists the image: {outcome.why}"
        elif isinstance(outcome, NotYet):
            self.stage = "queue" if outcome.busy else "resolve"
            self.state = f"waiting for a slot: {outcome.why}" if outcome.busy else f"waiting to ask for a scan: {outcome.why}"

    def _look_at_task(self, request: ScanRequest) -> None:
        """Look whether the task that was asked for failed: then the image will hardly be listed.

        :raises IncompleteError: if it did.
        """
        self.state = f"its scan is asked for (task {request.task or 'of someone else'}), waiting until the image is listed"
        tasks = self.desk.tasks(self.reference.digest or "", self.deadline, request.task)
        ended = next((task.status for task in tasks if task.id == request.task and task.status in FAILED), None)
        if ended and request.task:
            what = f"the image {self.reference} is not listed, and the scan that was asked for (task {request.task}) ended with {ended}"
            advice = f"{why_not_listed(self.reference, self.rows)} {HOW_TO_SCAN}"
            raise IncompleteError(what, advice=advice, action=INSTANCES)


def find_or_await(
    images: Images, desk: ScanDesk, reference: ImageReference, rules: EvidenceRules, wait: Wait
) -> tuple[Image, Proof, ScanRequest | None]:
    """Find the one image that a reference means; where it is not listed, have it synchronised and scanned, and wait.

    :return: the image, the proof of its identity, and the request for its scan, where one was made: whoever gets it closes it.
    :raises IncompleteError: if there is none, or more than one, or no digest where the policy asks for one.
    """
    require_digest(reference, rules)
    arrival = _Arrival(images, desk, reference, wait, rows_for(images, reference, wait.deadline))
    if identify(arrival.rows, reference) is None and desk.mode is ScanMode.NEVER:
        error = arrival.not_listed()
        advice = f"{error.cause.advice} With --scan auto the gate has it synchronised, and waits."
        raise IncompleteError(error.cause.what, advice=advice, action=INSTANCES)
    try:
        image, proof = arrival.until_listed()
    except BaseException:
        desk.close(arrival.request)
        raise
    if not wait.polls:
        return image, proof, None
    note = f"; {arrival.note}" if arrival.note else ""
    proof = replace(proof, detail=f"{proof.detail}{note}", figures=(*proof.figures, ("listings", wait.polls + 1)))
    return replace(image, scan_requested=True), proof, arrival.request
