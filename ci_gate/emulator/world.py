"""The world file: what exists on the embedded endpoint, as a typed model, and how it is loaded.

Its parts stand in ``images`` (repositories, findings and scans too), ``account`` (whitelists too), ``quirks`` and ``faults``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from ci_gate.catalog import catalog_keys
from ci_gate.emulator.account import Account, Whitelist
from ci_gate.emulator.faults import Fault  # noqa: TC001 - pydantic reads it at run time
from ci_gate.emulator.fields import Strict
from ci_gate.emulator.images import Image, Repository  # noqa: TC001 - pydantic reads them at run time
from ci_gate.emulator.quirks import Quirks
from ci_gate.emulator.yaml_reader import Document, Problem, YamlError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

DEMO_WORLD = "demo.yaml"
MAX_PROBLEMS = 50  # nobody mends more than that in one go
_MAX_MESSAGE = 1_000  # names of fields and of images are as long as somebody likes


class WorldError(Exception):
    """A world file does not load; ``problems`` holds what is wrong with it, the first fifty told, in short, and the others counted."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        more = problems[MAX_PROBLEMS:]
        told = tuple(replace(problem, message=problem.message[:_MAX_MESSAGE]) for problem in problems[:MAX_PROBLEMS])
        if more:
            told = (*told, replace(more[0], message=f"and {len(more)} more mistakes, not shown"))
        super().__init__("; ".join(map(str, told)))
        self.problems = told


class World(Strict):
    """Everything that exists on an embedded endpoint."""

    version: Literal[1] = 1
    """The version of this format."""
    region: str = "cn-shanghai"
    """The region that the endpoint stands for."""
    account: Account = Account()
    """The only caller of the endpoint, and its permissions."""
    images: tuple[Image, ...] = Field((), strict=False)
    """The images."""
    repositories: tuple[Repository, ...] = Field((), strict=False)
    """Repositories that the service knows before, or without, their images."""
    unsupported_regions: tuple[str, ...] = Field((), strict=False)
    """Regions whose images cannot be scanned: a request for a scan is answered with the result `TASK_NOT_SUPPORT_REGION`."""
    rules_off: tuple[str, ...] = Field((), strict=False)
    """Keys whose rule is switched off: scans do not find them."""
    rules_absent: tuple[str, ...] = Field((), strict=False)
    """Documented keys that the account's rules do not name."""
    rules_extra: tuple[str, ...] = Field((), strict=False)
    """Keys that are not documented, but that the account's rules name."""
    whitelists: tuple[Whitelist, ...] = Field((), strict=False)
    """The account's rules that ignore findings."""
    quirks: Quirks = Quirks()
    """Behaviour that is not documented of the real service."""
    seed: int = 0
    """What is drawn of faults is drawn by it: the same calls in the same order are hit in the same way."""
    faults: tuple[Fault, ...] = Field((), strict=False)
    """What goes wrong."""


def demo_world() -> World:
    """Load the demo world of the package."""
    return parse_world(resources.files("ci_gate.emulator").joinpath(DEMO_WORLD).read_bytes())


def parse_world(raw: bytes) -> World:
    """Load the bytes of a world file.

    :raises WorldError: with all that is wrong with it.
    """
    try:
        document = read_yaml(raw)
    except YamlError as error:
        raise WorldError(error.problems) from None
    try:
        world = World.model_validate(document.value)
    except ValidationError as error:
        problems = {Problem(*document.place(fault["loc"]), _sentence(fault)) for fault in _own_faults(error)}
        raise WorldError(tuple(sorted(problems))) from None
    problems = _contradictions(world, document)
    if problems:
        raise WorldError(tuple(sorted(problems)))
    return world


def world_schema() -> dict[str, Any]:
    """Return the JSON Schema of world files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **World.model_json_schema()}


def _own_faults(error: ValidationError) -> list[ErrorDetails]:
    """Return what pydantic found, without lists that are called too short only because an item of them is wrong."""
    faults = error.errors(include_url=False)
    inner = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return [fault for fault in faults if fault["type"] != "too_short" or fault["loc"] not in inner]


def schema_text() -> str:
    """Return the JSON Schema as it is committed in ``world.schema.json``."""
    return json.dumps(world_schema(), indent=2) + "\n"


def _sentence(fault: ErrorDetails) -> str:
    """Say what pydantic found, with the name of the field, and without the value: it may be a canary."""
    name = next((part for part in reversed(fault["loc"]) if isinstance(part, str)), "the file")
    told = {"extra_forbidden": "there is no such field", "missing": "this field is required"}
    return f"{name}: {told.get(fault['type'], fault['msg'].removeprefix('Value error, '))}"


def _contradictions(world: World, document: Document) -> set[Problem]:
    """Find what each model alone cannot see."""
    places = list(_unspeakable(world))
    if not places:  # ids are made of names
        places = [(("images", *path), problem) for path, problem in _image_contradictions(world)]
    known = {*catalog_keys(), *world.rules_extra}
    for name in ("rules_off", "rules_absent"):
        for index, key in enumerate(getattr(world, name)):
            if key not in known:
                places.append(((name, index), f"{name}: {key!r} is no documented key and not in rules_extra"))
    seen: dict[tuple[str, ...], str] = {}
    for index, repository in enumerate(world.repositories):
        if repository.place in seen:
            places.append((("repositories", index), f"the repository {repository.reference} stands twice in one instance"))
        seen[repository.place] = repository.reference
    return {Problem(*document.place(path), problem) for path, problem in places}


def _unspeakable(world: World) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Find names that hold half a character: no id can be made of them. Whatever else is odd, the service may say, too."""
    for kind, named in (("images", world.images), ("repositories", world.repositories)):
        for index, one in enumerate(named):
            for name in ("reference", "registry_type", "instance_id", "region_id"):
                if any("\ud800" <= char <= "\udfff" for char in getattr(one, name)):
                    yield (kind, index, name), f"{name}: it holds half a character (a lone surrogate)"


def _image_contradictions(world: World) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Find what is wrong with images that are right each by itself; the path leads on from the list of images."""
    uuids: dict[str, str] = {}
    for index, image in enumerate(world.images):
        if image.image_uuid in uuids:
            yield (index,), f"the uuid {image.image_uuid} is that of {uuids[image.image_uuid]} already"
        uuids[image.image_uuid] = image.reference
        for name, stages in (("scan", image.scan), ("scan_when_requested", image.scan_when_requested)):
            for number, stage in enumerate(stages[:-1]):
                if stage.for_calls is None and stage.for_seconds is None:
                    yield (index, name, number), f"{name}: a stage before the last one needs for_calls or for_seconds"
        to = image.tag_moves.to if image.tag_moves else None
        if to and not any(other.digest == to and other.reference == image.reference for other in world.images if other is not image):
            yield (index, "tag_moves", "to"), "to: no other image with this reference has this digest"
