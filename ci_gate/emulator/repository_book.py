"""The repositories of a running endpoint: those of the world file, and those of the images that are listed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci_gate.emulator.image_state import ImageState
    from ci_gate.emulator.images import Image, Repository


@dataclass(frozen=True, slots=True)
class KnownRepository:
    """A repository with its images that are listed. ``of`` says where it is: an entry of the world file, or an image."""

    of: Repository | Image
    images: list[ImageState] = field(default_factory=list)


class RepositoryBook:
    """Tells which repositories there are; used by the server's one thread only."""

    def __init__(self, repositories: Sequence[Repository], images: Sequence[ImageState]) -> None:
        self._repositories = repositories
        self._images = images
        self._unknown_calls = dict.fromkeys((one.place for one in repositories), 0)

    def every(self) -> list[KnownRepository]:
        """Return all repositories of the world file, and those of listed images."""
        found = {one.place: KnownRepository(one) for one in self._repositories}
        for state in self._images:
            if state.is_known and state.tags:
                found.setdefault(state.image.place, KnownRepository(state.image)).images.append(state)
        return list(found.values())

    def is_listed(self, repository: KnownRepository) -> bool:
        """Count an answer that would name a repository, and return whether it is known yet; one with listed images is."""
        place = repository.of.place
        wait = getattr(repository.of, "known_after_calls", 0)
        if repository.images or self._unknown_calls.get(place, 0) >= wait:
            return True
        self._unknown_calls[place] += 1
        return False
