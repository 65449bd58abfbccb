"""Load a policy: find it, read it and the policies that it extends, and say everything that is wrong in one go, in plain words."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci_gate.errors import InvalidDocumentError
from ci_gate.policy.effective import Baseline, EffectivePolicy, NamedPolicy, canonical_text
from ci_gate.policy.language.baseline import read_baseline
from ci_gate.policy.language.checks import check_sense
from ci_gate.policy.language.checks_keys import check_judges
from ci_gate.policy.language.files import read_file
from ci_gate.policy.language.inherit import inherit, own_policy
from ci_gate.policy.language.origins import trace_origins
from ci_gate.policy.language.parse import parse_text
from ci_gate.policy.language.sources import (
    MAX_BYTES,
    NOUN,
    Source,
    WrongEntryError,
    builtin_policies,
    builtin_source,
    file_source,
    find_below,
    find_source,
    join_origin,
    read_source,
)
from ci_gate.policy.language.yamltree import MAX_NODES
from ci_gate.policy.problems import Problem, did_you_mean, excerpt, quoted, shown
from ci_gate.verdict import PolicySummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ci_gate.deadline import Deadline
    from ci_gate.errors import Cause
    from ci_gate.policy.language.inherit import Inherited
    from ci_gate.policy.language.parse import Parsed
    from ci_gate.policy.language.permits import Asks
    from ci_gate.policy.language.schema import Policy
    from ci_gate.policy.problems import FieldPath

MAX_DEPTH = 5  # of policies that extend policies
MAX_POLICIES = 20
POLICY_FILES = (".ci-gate.yml", "ci-gate.yml")
_MISSPELT_FILES = (".ci-gate.yaml", "ci-gate.yaml")
_MAX_NAMED = 3
_MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class Note:
    """Something in a policy that is not wrong and has no effect. ``where`` is ``FILE:LINE:COLUMN``."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy as it judges, which one it is, and how it was written.

    ``document`` and ``text`` are the policy's own, without its parents. ``origins`` tells for the name of each value (``mode``,
    ``thresholds.high``, ``deny[0].keys``, ``allow.sqlite``, ``waivers.W-1``, ``evidence.settle`` …) where it was written, as
    ``FILE:LINE``, or ``default`` where nobody wrote it.
    """

    policy: EffectivePolicy
    summary: PolicySummary
    document: Policy
    text: str
    origins: Mapping[str, str]
    notes: tuple[Note, ...] = ()


def load_policy(source: str | Path, deadline: Deadline | None = None) -> LoadedPolicy:
    """Load a built-in policy by its name, or a policy file by its path.

    A built-in's name always means the built-in; write ``./default`` for a file of that name.

    :param deadline: that of the run; a pipe is waited for no longer.

    :raises InvalidDocumentError: with every mistake, where there is any; also where a file cannot be read.
    """
    builtins = builtin_policies()
    if isinstance(source, str) and source in builtins:
        found = builtin_source(source)
        return _Loader(None).load(found, read_source(found))
    if isinstance(source, str):
        _check_name(source, builtins)
    path = Path(source)
    found = file_source(path, str(source))
    missing = "Check the path; it counts from the working directory."
    raw = read_file(path, found.origin, noun=NOUN, limit=MAX_BYTES, missing=missing, regular=False, deadline=deadline)
    return _Loader(path.parent).load(found, raw)


def parse_policy(raw: bytes | str, *, origin: str, default_name: str = "policy", folder: Path | None = None) -> LoadedPolicy:
    """Load a policy from its content. ``origin`` is what messages call it.

    Files that it names are looked for from ``folder``; without one, naming them is a mistake.

    :raises InvalidDocumentError: with every mistake, where there is any.
    """
    return _Loader(folder).load(Source(origin, default_name, "", folder), raw)


def find_policy(directory: Path) -> Path | None:
    """Return the policy of a directory: ``.ci-gate.yml``, else ``ci-gate.yml``, else ``None``.

    :raises InvalidDocumentError: where there is only a file that was clearly meant to be found, such as ``.ci-gate.yaml``.
    """
    for name in POLICY_FILES:
        # A dangling link or a directory of that name is found as well: loading it says what is wrong, falling back would hide it.
        if os.path.lexists(directory / name):
            return directory / name
    for name in _MISSPELT_FILES:
        if os.path.lexists(directory / name):
            wanted = name.removesuffix("yaml") + "yml"
            raise InvalidDocumentError(
                f"the policy file {name} is not looked for by that name",
                advice=f"Rename it to {wanted}, or give it with --policy.",
                where=name,
            )
    return None


def _check_name(source: str, builtins: Mapping[str, Path]) -> None:
    """Refuse a bare word that is neither a built-in policy nor a file."""
    is_word = source and not any(sign in source for sign in ("/", "\\", ".", "\0"))
    if is_word and not _exists(source):
        names = ", ".join(builtins) or "none: this installation is damaged"
        raise InvalidDocumentError(
            f"{quoted(source)} is neither a built-in policy nor a file",
            advice=f"{did_you_mean(source, builtins)}Built-in policies: {names}. A file is given by its path, such as ./ci-gate.yml.",
        )


def _exists(source: str) -> bool:
    try:
        return os.path.lexists(source)
    except (OSError, ValueError):
        return False


class _Loader:
    """One loading: the policies that were read already, and those that wait for their parents."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._loaded: dict[str, LoadedPolicy | InvalidDocumentError] = {}
        self._waiting: list[Source] = []
        self._values = 0  # in all files that were read

    def load(self, source: Source, raw: bytes | str) -> LoadedPolicy:
        """Load the policy that is asked for: by itself or through its parents, it has to judge something."""
        loaded, parsed = self._load(source, raw)
        if empty := check_judges(loaded.policy, parsed.root):
            raise parsed.document.error(empty)
        return loaded

    def _load(self, source: Source, raw: bytes | str) -> tuple[LoadedPolicy, Parsed]:
        parsed = parse_text(raw, source.origin)
        self._values += parsed.root.size
        self._waiting.append(source)
        parents, problems, causes = self._load_parents(parsed, source)
        self._waiting.pop()
        if not problems:  # else keys that a parent makes known would be told as unknown
            problems = check_sense(parsed.root, [parent.policy for parent in parents.values()])
        baseline, wrong, further = _load_baseline(parsed, source)
        problems += [*wrong, *parsed.problems]
        if parsed.policy is None or problems:
            raise _error(parsed, problems, [*causes, *further])
        inherited = inherit(
            parsed.policy, baseline, [NamedPolicy(excerpt(name, _MAX_NAME), parent.policy) for name, parent in parents.items()]
        )
        if problems := [*_asked(inherited.asks, parsed), *_faults(inherited, parsed)]:
            raise _error(parsed, problems)
        return _finish(parsed, source, inherited, own_policy(parsed.policy, baseline), tuple(parents.values())), parsed

    def _load_parents(self, parsed: Parsed, source: Source) -> tuple[dict[str, LoadedPolicy], list[Problem], list[Cause]]:
        """Load what a policy extends; return the parents by what it calls them, its own mistakes, and theirs."""
        parents: dict[str, LoadedPolicy] = {}
        problems: list[Problem] = []
        causes: list[Cause] = []
        seen: dict[str, int] = {}
        for number, node in enumerate(parsed.root.items_at("extends")[:MAX_POLICIES]):
            entry, where = node.scalar, shown(("extends", number))
            if not isinstance(entry, str) or not entry:
                continue  # the model says so
            try:
                found = self._find(entry, source)
                if found.identity not in seen:
                    seen[found.identity] = number
                    parents[entry] = _seen_from(source, found, self._load_once(found))
                elif entry not in parents:  # else it is told as listed twice
                    what = f"{quoted(entry)} is the same policy as entry {seen[found.identity] + 1}"
                    problems.append(Problem(node.index, f"{where}: {what}", "Keep one of the two."))
            except WrongEntryError as error:
                problems.append(Problem(node.index, f"{where}: {error.what}", error.advice))
            except InvalidDocumentError as error:
                causes += error.causes
                problems.append(Problem(node.index, f"{where}: the policy {quoted(entry)} is wrong itself", "Mend what is told of it."))
        return parents, problems, causes

    def _find(self, entry: str, source: Source) -> Source:
        """Return the policy that an entry of ``extends`` means.

        :raises WrongEntryError: where it means none, or one that would lead on for ever.
        """
        found = find_source(entry, source, self._folder)
        chain = [waiting.identity for waiting in self._waiting]
        if found.identity in chain:
            circle = [waiting.origin for waiting in self._waiting[chain.index(found.identity) :]]
            what = f"policies extend each other in a circle: {' → '.join([*circle, found.origin])}"
            raise WrongEntryError(what, "Remove one of these entries.")
        if found.identity not in self._loaded and len(chain) > MAX_DEPTH:
            raise WrongEntryError(f"policies extend each other more than {MAX_DEPTH} levels deep", "Extend an upper one of them directly.")
        if found.identity not in self._loaded and len(chain) + len(self._loaded) >= MAX_POLICIES:
            raise WrongEntryError(f"more than {MAX_POLICIES} policies extend each other", "Put some of them together.")
        if found.identity not in self._loaded and self._values > MAX_NODES:
            what = f"the policies that extend each other hold more than {MAX_NODES} values before this one"
            raise WrongEntryError(what, "Extend fewer of them, or use globs and groups instead of long lists.")
        return found

    def _load_once(self, source: Source) -> LoadedPolicy:
        if source.identity not in self._loaded:
            try:
                self._loaded[source.identity] = self._load(source, read_source(source))[0]
            except InvalidDocumentError as error:
                self._loaded[source.identity] = error
        known = self._loaded[source.identity]
        if isinstance(known, InvalidDocumentError):
            raise known
        return known


def _seen_from(source: Source, found: Source, parent: LoadedPolicy) -> LoadedPolicy:
    """Return a parent whose baselines are named as the policy that extends it would name them: by their paths from its own folder."""
    if source.folder is None or found.folder is None or not parent.policy.baselines:
        return parent
    here, there = os.path.realpath(source.folder), os.path.realpath(found.folder)
    if here == there:
        return parent
    moved = tuple(
        replace(baseline, file=os.path.relpath(os.path.realpath(os.path.join(there, baseline.file)), here))  # noqa: PTH118 - a text
        for baseline in parent.policy.baselines
    )
    return replace(parent, policy=replace(parent.policy, baselines=moved))


def _load_baseline(parsed: Parsed, source: Source) -> tuple[Baseline | None, list[Problem], tuple[Cause, ...]]:
    """Read the baseline that a policy names; return it, what is wrong with naming it, and what is wrong in it."""
    rules = parsed.policy.baseline if parsed.policy else None
    if rules is None:
        return None, [], ()
    try:
        entries = read_baseline(_baseline_path(rules.file, source), join_origin(source.origin, rules.file))
    except WrongEntryError as error:
        return None, [_at(parsed, ("baseline", "file"), f"baseline.file: {error.what}", error.advice)], ()
    except InvalidDocumentError as error:
        what = f"baseline.file: the file {quoted(rules.file)} is wrong itself"
        return None, [_at(parsed, ("baseline", "file"), what, "Mend what is told of it.")], error.causes
    return Baseline(_plain_path(rules.file), entries, rules.expires, rules.include_denied), [], ()


def _plain_path(file: str) -> str:
    """Return a path without the ``./`` that means nothing; ``..`` stays, for behind a link it means another folder."""
    return file if ".." in file.split("/") else os.path.normpath(file)


def _baseline_path(file: str, source: Source) -> Path:
    if source.folder is None:
        raise WrongEntryError("only a policy in a file can name a baseline", "Save the policy as a file beside the baseline.")
    path = find_below(file, source.folder, source.folder)
    if not os.path.lexists(path):
        raise WrongEntryError(f"the file {quoted(file)} does not exist", "Create it with `ci-gate baseline create`.")
    return path


def _finish(parsed: Parsed, source: Source, inherited: Inherited, own: EffectivePolicy, parents: tuple[LoadedPolicy, ...]) -> LoadedPolicy:
    """Put together what is known of a policy without mistakes."""
    document = parsed.policy
    if document is None:
        raise AssertionError("a policy without mistakes has a model")
    policy = inherited.policy
    canonical = canonical_text(policy.canonical)
    sha256 = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    summary = PolicySummary(document.name or source.default_name, policy.mode, sha256, source.origin, canonical=canonical)
    origins = trace_origins(policy, own, lambda path: _written_at(parsed, path), [(parent.policy, parent.origins) for parent in parents])
    notes = [Note(parsed.document.place(_locate(parsed, note.path)), note.what) for note in inherited.notes]
    every = dict.fromkeys((*notes, *(note for parent in parents for note in parent.notes)))
    return LoadedPolicy(policy, summary, document, parsed.document.text, origins, tuple(every))


def _error(parsed: Parsed, problems: Iterable[Problem], causes: Iterable[Cause] = ()) -> InvalidDocumentError:
    """Return the mistakes of a policy, and those of the files that it names."""
    return InvalidDocumentError.of(dict.fromkeys((*parsed.document.error(problems).causes, *causes)))


def _asked(asks: Iterable[Asks], parsed: Parsed) -> Iterator[Problem]:
    """Say what parents do not permit: for each field and parent once, at the first entry."""
    grouped: dict[tuple[FieldPath, str, str], list[Asks]] = {}
    for ask in asks:
        field = ask.path if ask.path[0] == "extends" or isinstance(ask.path[-1], str) else ask.path[:-1]
        grouped.setdefault((field, ask.parent, ask.word), []).append(ask)
    for (field, parent, word), entries in grouped.items():
        named = ", ".join(quoted(ask.entry) for ask in entries[:_MAX_NAMED])
        more = f" and {len(entries) - _MAX_NAMED} more" if len(entries) > _MAX_NAMED else ""
        whose = "other parent" if field[0] == "extends" else "parent"
        what = f"{shown(field)}: the {whose} {quoted(parent)} does not permit {word!r}"
        told = what if field == ("permit",) else f"{what}: {named}{more}"
        yield _at(parsed, entries[0].path, told, f"Remove it, or extend a policy that lists {word} under permit.")


def _faults(inherited: Inherited, parsed: Parsed) -> Iterator[Problem]:
    for fault in inherited.faults:
        entry = fault.path if isinstance(fault.path[-1], int) else fault.path[:-1]
        yield _at(parsed, fault.path, f"{shown(entry)}: {fault.what}", fault.advice)


def _at(parsed: Parsed, path: FieldPath, what: str, advice: str) -> Problem:
    return Problem(_locate(parsed, path), what, advice)


def _locate(parsed: Parsed, path: FieldPath) -> int:
    """Return the offset of the value at a path, or of the one that it is missing in."""
    node = parsed.root
    for part in path:
        if isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        elif isinstance(part, str) and part in node.fields:
            node = node.fields[part][1]
        else:
            break
    return node.index


def _written_at(parsed: Parsed, path: FieldPath) -> str | None:
    """Return ``FILE:LINE`` of what was written at a path: of a field, the line of its name."""
    node, index = parsed.root, parsed.root.index
    for part in path:
        if isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            index = node.index
        elif isinstance(part, str) and part in node.fields:
            index, node = node.fields[part]
        else:
            return None
    return f"{parsed.document.origin}:{bisect_right(parsed.document.starts, index)}"
