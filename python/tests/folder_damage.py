"""Damage to a folder of partitions that everything that opens one has to refuse."""

from __future__ import annotations

import hashlib
import shutil

import file_reader
import numpy as np

MANIFEST = "partitions.covertree"


def names(folder):
    """The names of a folder's files: the manifest, partitions in order, the residual process if there is one."""
    return sorted(path.name for path in folder.iterdir())


def seal(data):
    """The seal of a file, as docs/file-format.md says."""
    count = int.from_bytes(data[20:24], "little")
    return hashlib.blake2b(data[: 64 + 64 * count], digest_size=16).digest()


def damages(folder, other, flips):
    """Pairs of a label and a function that damages a copy of the folder. The other folder has a tree of equal size."""
    for name in names(folder):
        data = (folder / name).read_bytes()

        def writing(change, name=name, data=data):
            return lambda copy: (copy / name).write_bytes(change(data))

        for length in (0, 63, 64, len(data) // 2, len(data) - 1):
            yield f"{name} of {length} bytes", writing(lambda data, length=length: data[:length])
        yield f"{name} too long", writing(lambda data: data + bytes(64))
        yield f"{name} of zeros", writing(lambda data: bytes(len(data)))
        for position in np.linspace(0, len(data) - 1, flips).astype(int):
            yield f"bit in {name} at {position}", writing(lambda data, position=position: flipped(data, position))
        yield f"{name} missing", lambda copy, name=name: (copy / name).unlink()
        for theirs in names(folder):
            if theirs != name:
                yield f"{theirs} instead of {name}", lambda copy, a=name, b=theirs: shutil.copy(folder / b, copy / a)
    pairs = [(name, theirs) for name, theirs in zip(names(folder), names(other))]
    for name, theirs in pairs:
        yield f"another tree's {theirs}", lambda copy, a=name, b=theirs: shutil.copy(other / b, copy / a)
    partitions = [name for name, _ in pairs if name.startswith("part-")]
    yield "two partitions swapped", lambda copy: swap(copy / partitions[0], copy / partitions[1])


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 1 << int(position) % 8]) + data[position + 1 :]


def swap(one, other):
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


def rewrite(path, change):
    """Change the sections of a file, and compute its checksums again."""
    file = file_reader.read(path.read_bytes())
    sections = {name: np.array(array) for name, array in file.sections.items()}
    change(sections)
    data = file_reader.write(file_reader.File(file.kind, file.input_hash, sections))
    path.write_bytes(data)
    return data


def rewrite_partition(folder, number, change):
    """The same for a partition, and mend its seal in the manifest."""
    (path,) = folder.glob(f"part-{number:05d}-*")
    data = rewrite(path, change)

    def mend(sections):
        sections["seals"][number] = np.frombuffer(seal(data), np.uint8)

    rewrite(folder / MANIFEST, mend)
