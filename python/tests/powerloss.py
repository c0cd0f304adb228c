"""What a disk may have after a power failure: made of the record of what a process wrote (``powerloss.c``).

A change of a file is on the disk for sure once the file was synced; a name, once its folder was. Of other changes any
may be there: all, none, some of them in any order, and of a write any of its sectors.
"""

from __future__ import annotations

import pickle
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

SECTOR = 512
#: What the system writes at once: a part that is written again takes the rest with it.
PAGE = 4096

(CREATE, WRITE, TRUNCATE, PUNCH, RENAME, UNLINK, MKDIR, RMDIR, SYNC, FAILED_SYNC, MARK, LINK) = range(12)
_HEADER = struct.Struct("=IIQQQQ")

#: By path, the files of a disk, and None for folders.
Contents = dict[str, Optional[bytes]]


class Call(NamedTuple):
    """A call that was recorded."""

    kind: int
    inode: int
    offset: int
    length: int
    path: str
    other: str
    data: bytes


def calls(record: Path) -> Iterator[Call]:
    """All calls of a record, in order."""
    with record.open("rb") as file:
        while header := file.read(_HEADER.size):
            kind, n_path, inode, offset, length, n_data = _HEADER.unpack(header)
            path, other = file.read(n_path).decode().split("\0")
            yield Call(kind, inode, offset, length, path, other, file.read(n_data))


@dataclass
class Change:
    """A change of a file: a write, a hole, or another length."""

    kind: int
    offset: int
    length: int
    data: bytes = b""
    #: Whether a sync of it has failed: the next one does not write it.
    lost: bool = False

    def apply(self, content: bytearray) -> None:
        """Make the change."""
        if self.kind == TRUNCATE:
            del content[self.length :]
            content.extend(bytes(self.length - len(content)))
            return
        data = self.data if self.kind == WRITE else bytes(max(0, min(self.length, len(content) - self.offset)))
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(data)] = data

    def cut(self, unit: int) -> list[Change]:
        """The same in parts that end at multiples of a unit."""
        if self.kind != WRITE:
            return [self]
        ends = [*range((self.offset // unit + 1) * unit, self.offset + len(self.data), unit)]
        starts = [self.offset, *ends]
        return [
            Change(WRITE, start, 0, self.data[start - self.offset : end - self.offset], self.lost)
            for start, end in zip(starts, [*ends, self.offset + len(self.data)])
        ]


#: Which of the changes of a file or folder are on the disk.
Pick = Callable[[list[Any]], list[Any]]


@dataclass
class File:
    """What of a file is on the disk for sure, and what may be."""

    sure: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    size: int = 0
    _sure: bytes | None = None

    def change(self, one: Change) -> None:
        """Note a change that was made."""
        if any(other.lost for other in self.pending):
            # The system writes whole pages: a lost change is written with a later one of the same page.
            end = self.size if one.kind == TRUNCATE else one.offset + max(len(one.data), one.length, 1)
            pages = range((one.length if one.kind == TRUNCATE else one.offset) // PAGE, (end - 1) // PAGE + 1)
            self.pending = [part for other in self.pending for part in (other.cut(PAGE) if other.lost else [other])]
            for part in self.pending:
                part.lost = part.lost and part.offset // PAGE not in pages
        self.pending.append(one)
        if one.kind == TRUNCATE:
            self.size = one.length
        elif one.kind == WRITE:
            self.size = max(self.size, one.offset + len(one.data))

    def sync(self) -> None:
        """All but what was lost is on the disk."""
        for one in self.pending:
            if not one.lost:
                one.apply(self.sure)
        self.sure.extend(bytes(max(0, self.size - len(self.sure))))
        self.pending = [one for one in self.pending if one.lost]
        self._sure = None

    def content(self, pick: Pick) -> bytes:
        """What the disk may have of it."""
        picked = pick(self.pending)
        if not picked:
            # The same object each time, whose hash Python keeps.
            self._sure = bytes(self.sure) if self._sure is None else self._sure
            return self._sure
        content = bytearray(self.sure)
        for one in picked:
            one.apply(content)
        return bytes(content)


@dataclass
class Folder:
    """The names in a folder, with the numbers of their files: now, on the disk for sure, and the changes since."""

    now: dict[str, int] = field(default_factory=dict)
    sure: dict[str, int] = field(default_factory=dict)
    #: Names with their new numbers, 0 for a name that goes. Changes in one dictionary happen together.
    pending: list[dict[str, int]] = field(default_factory=list)

    def change(self, names: dict[str, int]) -> None:
        """Note names that have come and gone."""
        self._apply(self.now, names)
        self.pending.append(names)

    def sync(self) -> None:
        """All names are on the disk."""
        self.sure, self.pending = dict(self.now), []

    def names(self, pick: Pick) -> dict[str, int]:
        """What the disk may have of them."""
        names = dict(self.sure)
        for one in pick(self.pending):
            self._apply(names, one)
        return names

    @staticmethod
    def _apply(names: dict[str, int], change: dict[str, int]) -> None:
        for name, number in change.items():
            if number:
                names[name] = number
            else:
                names.pop(name, None)


class Disk:
    """A folder on a disk, while calls change it.

    Parameters
    ----------
    forgets : bool
        Whether what a failed sync was to write is not written by the next one, as in Linux.
    """

    def __init__(self, forgets: bool = True) -> None:
        self.files: list[File | Folder] = []
        self.forgets = forgets
        #: By inode, the number of the file that has it now: a file system gives it to another one after a removal.
        self._numbers: dict[int, int] = {}

    def call(self, one: Call) -> None:
        """Follow a call."""
        kind = one.kind
        if kind == CREATE or (kind == MKDIR and (one.path or not self.files)):
            self._numbers[one.inode] = len(self.files)
            self.files.append(Folder() if kind == MKDIR else File())
        number = self._numbers.get(one.inode, 0)
        file = self.files[number]
        if kind in (CREATE, MKDIR, LINK) and one.path:
            folder, name = self._named(one.path)
            folder.change({name: number})
        elif kind == RENAME:
            (folder, old), (other, new) = self._named(one.path), self._named(one.other)
            assert folder is other, "a file that goes to another folder"
            folder.change({old: 0, new: number})
        elif kind in (UNLINK, RMDIR):
            folder, name = self._named(one.path)
            folder.change({name: 0})
        elif kind == SYNC:
            file.sync()
        elif kind in (WRITE, TRUNCATE, PUNCH) and isinstance(file, File):
            file.change(Change(kind, one.offset, one.length, one.data))
        elif kind == FAILED_SYNC and isinstance(file, File) and self.forgets:
            for change in file.pending:
                change.lost = change.kind == WRITE

    def _named(self, path: str) -> tuple[Folder, str]:
        *above, name = path.split("/")
        folder = self.files[0]
        for part in above:
            assert isinstance(folder, Folder)
            folder = self.files[folder.now[part]]
        assert isinstance(folder, Folder)
        return folder, name

    def unsure(self) -> list[int]:
        """Places of files and folders with changes that may be lost."""
        return [number for number, file in enumerate(self.files) if file.pending]

    def contents(self, picks: dict[int, Pick]) -> Contents:
        """What the disk may have, if of each file or folder what is picked is there; nothing where there is no pick."""
        found: Contents = {}

        def walk(number: int, path: str) -> None:
            file, pick = self.files[number], picks.get(number, _nothing)
            if isinstance(file, File):
                found[path] = file.content(pick)
                return
            if path:
                found[path] = None
            for name, child in file.names(pick).items():
                walk(child, f"{path}/{name}" if path else name)

        walk(0, "")
        return found


def _nothing(changes: list[Any]) -> list[Any]:
    return []


def everything(changes: list[Any]) -> list[Any]:
    """Pick all changes: what the system has, and the disk after a sync of all."""
    return changes


def _begun(rng: random.Random) -> Pick:
    return lambda changes: changes[: rng.randint(0, len(changes))]


def _some(rng: random.Random) -> Pick:
    share = rng.random()
    return lambda changes: [one for one in changes if rng.random() < share]


def _torn(rng: random.Random) -> Pick:
    share = rng.random()

    def pick(changes: list[Any]) -> list[Any]:
        parts = [part for one in changes for part in (one.cut(SECTOR) if isinstance(one, Change) else [one])]
        return [one for one in parts if rng.random() < share]

    return pick


def failure(disk: Disk, rng: random.Random) -> Contents:
    """What the disk may have after a power failure now, at random."""
    unsure, style = disk.unsure(), rng.random()
    if not unsure or style < 0.15:
        return disk.contents({})
    one = rng.choice(unsure)
    if style < 0.35:  # one file has come to the disk, and no other
        return disk.contents({one: everything})
    if style < 0.5:  # all but one
        return disk.contents({other: everything for other in unsure if other != one})
    picks = [lambda rng: _nothing, lambda rng: everything, _begun, _some, _torn]
    return disk.contents({number: rng.choice(picks)(rng) for number in unsure})


def failures(
    record: Path, n_states: int, seed: int, forgets: bool = True
) -> Iterator[tuple[dict[str, Contents], tuple[Any, ...]]]:
    """Go through a record: at each call, some of what the disk may have after a power failure then; and all marks.

    A mark is what the process said: what happens to which part, a pair of its kind and its name in the outermost
    folder.

    Yields
    ------
    contents : dict
        By name of a part, what the disk has of it, if that is new since the last mark of the part. Empty with a mark.
    mark : tuple
        Empty with contents.
    """
    all_calls, disk, rng = list(calls(record)), Disk(forgets), random.Random(seed)
    seen: dict[str, set[int]] = {}
    for left, one in zip(range(len(all_calls), 0, -1), all_calls):
        if one.kind == MARK:
            mark = pickle.loads(one.data)
            _, (_, name), *_ = mark
            seen[name] = set()  # The same contents have to be right after the mark, too.
            yield {}, mark
        else:
            disk.call(one)
        # As many as are wanted still, divided among the calls that are left.
        wanted = n_states / left
        for _ in range(int(wanted) + (rng.random() < wanted % 1)):
            contents, new = failure(disk, rng), {}
            for name, known in seen.items():
                part = {path: data for path, data in contents.items() if path.split("/")[0] == name}
                digest = hash(tuple(sorted(part.items(), key=lambda item: item[0])))
                if digest not in known:
                    known.add(digest)
                    new[name] = part
            if new:
                n_states -= 1
                yield new, ()


def lay(contents: Contents, folder: Path) -> None:
    """Write files and folders."""
    for path, data in sorted(contents.items(), key=lambda item: item[0]):
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)


def present(folder: Path) -> Contents:
    """The files and folders that are there, but those that are not recorded."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
        if not path.name.endswith("-shm")
    }
