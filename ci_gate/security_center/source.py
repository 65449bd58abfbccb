"""Security Center as a source of findings: the steps in their order, over one transport."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import UsageError
from ci_gate.model import EvidenceRules, Image, ImageReference, Inventory, Proof, SourceInfo, Step
from ci_gate.security_center.arrivals import find_or_await
from ci_gate.security_center.coverage import AccountSettings, prove_covered, prove_whitelists
from ci_gate.security_center.criteria import Images
from ci_gate.security_center.findings import ScanRange, may_be_fresh, prove_settled, read_all_entries
from ci_gate.security_center.images import confirm, find_by_uuid
from ci_gate.security_center.pool import run_together
from ci_gate.security_center.repositories import refuse_personal_edition
from ci_gate.security_center.scan_requests import ScanDesk, ScanMode
from ci_gate.security_center.scans import await_scan
from ci_gate.security_center.waiting import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.scan_requests import Task
    from ci_gate.security_center.transport import Transport


class SecurityCenter:
    """The live (or embedded) service as a ``FindingSource``."""

    def __init__(
        self, transport: Transport, info: SourceInfo, scan_range: ScanRange, notify: Callable[[Step], None], scan: str = "auto"
    ) -> None:
        """Build over a transport.

        :param notify: told of each change of state, and at least every 30 seconds, from any thread.
        :param scan: when to have an image scanned: ``auto``, ``never`` or ``always``.
        """
        self.info = info
        self._transport = transport
        self._scan_range = scan_range
        self._notify = notify
        self._images = Images(transport)
        self._account = AccountSettings(transport)
        self._desk = ScanDesk(transport, ScanMode(scan))
        self._closed_desk = ScanDesk(transport, ScanMode.NEVER)
        self._chosen: set[str] = set()  # uuids that the user named
        self._names: dict[str, str] = {}  # of images by their uuid: what is said of them names them as the user does

    def find_image(
        self, reference: ImageReference | None, uuid: str | None, rules: EvidenceRules, deadline: Deadline
    ) -> tuple[Image, Proof]:
        """Return the image that is meant and the proof of its identity; one that was pushed just now is waited for.

        :raises GateError: if it is unknown or ambiguous, or the service cannot be asked.
        """
        if reference is not None:
            refuse_personal_edition(reference)
        if uuid is not None:
            image, proof = find_by_uuid(self._images, uuid, reference, deadline)
            self._chosen.add(uuid)
        elif reference is None:
            raise UsageError("no image was named", advice="Give an image reference, or --image-uuid.")
        else:
            wait = Wait(str(reference), self._notify, deadline)
            desk = self._desk_for(rules)
            image, proof, request = find_or_await(self._images, desk, reference, rules, wait)
            if request is not None:
                desk.keep(image.uuid, request)
        self._names[image.uuid] = str(reference) if reference is not None else f"uuid {image.uuid}"
        return image, proof

    def await_scan(self, image: Image, rules: EvidenceRules, deadline: Deadline) -> tuple[Image, Proof]:
        """Wait for the scan of the image; where it needs one, have it scanned.

        :raises GateError: if it failed, is missing, or does not end in time.
        """
        wait = Wait(self._names.get(image.uuid, f"uuid {image.uuid}"), self._notify, deadline)
        desk = self._desk_for(rules)
        return await_scan(self._images, desk, image, desk.take(image.uuid), rules, wait)

    def _desk_for(self, rules: EvidenceRules) -> ScanDesk:
        """Return where scans are asked for, if the rules let it."""
        return self._desk if rules.may_request_scan else self._closed_desk

    def confirm(self, image: Image, reference: ImageReference | None, deadline: Deadline) -> None:
        """Make sure that the image is still there with the scan whose findings were read, and that the reference still means it alone.

        :raises IncompleteError: if it is gone, was scanned again meanwhile, or if the reference means another image, or several, now.
        """
        confirm(self._images, image, reference, deadline, by_uuid=image.uuid in self._chosen)

    def read_findings(self, image: Image, rules: EvidenceRules, deadline: Deadline) -> Inventory:
        """Read every finding, and what the account's settings say of them, side by side."""
        self._notify(Step(self._names.get(image.uuid, f"uuid {image.uuid}"), "read", "reading the findings"))
        asked_ms = self._now_ms()
        read, covered, whitelists, tasks = run_together(
            (
                partial(read_all_entries, self._transport, image, rules, self._scan_range, deadline),
                partial(prove_covered, self._account, rules, deadline),
                partial(prove_whitelists, self._account, rules, deadline),
                partial(self._tasks_of, image, asked_ms, deadline),
            )
        )
        assert isinstance(read, Inventory)
        assert isinstance(covered, Proof)
        assert isinstance(whitelists, Proof)
        assert tasks is None or isinstance(tasks, tuple)
        inventory, settled = prove_settled(self._transport, image, read, rules, self._scan_range, asked_ms, tasks, deadline)
        return replace(inventory, proofs=(covered, *inventory.proofs, settled, whitelists))

    def _tasks_of(self, image: Image, asked_ms: int | None, deadline: Deadline) -> tuple[Task, ...] | None:
        """Return the latest scan tasks of an image whose findings may be settling still, as :func:`prove_settled` takes them."""
        return self._desk.tasks_now(image.digest, deadline) if may_be_fresh(image, asked_ms) else ()

    def _now_ms(self) -> int | None:
        """Return the time by the clock of the server or ours, whichever says less: a `Date` ahead must not make a fresh scan old."""
        server_ms = self._transport.server_ms
        return None if server_ms is None else min(server_ms, int(time.time() * 1000))
