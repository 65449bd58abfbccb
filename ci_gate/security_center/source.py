"""Security Center as a source of findings: the steps in their order, over one transport."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ci_gate.errors import UsageError
from ci_gate.model import EvidenceRules, Image, ImageReference, Inventory, Proof, SourceInfo
from ci_gate.security_center.coverage import prove_covered, prove_whitelists
from ci_gate.security_center.findings import ScanRange, prove_settled, read_findings
from ci_gate.security_center.images import find_by_reference, find_by_uuid
from ci_gate.security_center.pool import run_together
from ci_gate.security_center.scans import await_scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_gate.deadline import Deadline
    from ci_gate.security_center.transport import Transport


class SecurityCenter:
    """The live (or embedded) service as a ``FindingSource``."""

    def __init__(self, transport: Transport, info: SourceInfo, scan_range: ScanRange, notify: Callable[[str], None]) -> None:
        self.info = info
        self._transport = transport
        self._scan_range = scan_range
        self._notify = notify

    def find_image(
        self, reference: ImageReference | None, uuid: str | None, rules: EvidenceRules, deadline: Deadline
    ) -> tuple[Image, Proof]:
        """Return the image that is meant and the proof of its identity.

        :raises GateError: if it is unknown or ambiguous, or the service cannot be asked.
        """
        if uuid is not None:
            return find_by_uuid(self._transport, uuid, reference, deadline)
        if reference is None:
            raise UsageError("no image was named", advice="Give an image reference, or --image-uuid.")
        return find_by_reference(self._transport, reference, rules, deadline)

    def await_scan(self, image: Image, rules: EvidenceRules, deadline: Deadline) -> tuple[Image, Proof]:
        """Wait for the scan of the image.

        :raises GateError: if it failed, is missing, or does not end in time.
        """
        return await_scan(self._transport, image, rules, deadline, self._notify)

    def read_findings(self, image: Image, rules: EvidenceRules, deadline: Deadline) -> Inventory:
        """Read every finding, and what the account's settings say of them, side by side."""
        read, covered, whitelists = run_together(
            (
                partial(read_findings, self._transport, image, rules, self._scan_range, deadline),
                partial(prove_covered, self._transport, rules, deadline),
                partial(prove_whitelists, self._transport, rules, deadline),
            )
        )
        assert isinstance(read, Inventory)
        assert isinstance(covered, Proof)
        assert isinstance(whitelists, Proof)
        inventory, settled = prove_settled(self._transport, image, read, rules, self._scan_range, self._transport.server_ms, deadline)
        return replace(inventory, proofs=(covered, *inventory.proofs, settled, whitelists))
