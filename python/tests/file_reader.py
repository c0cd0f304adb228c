"""Files of the library, read and written by Python alone, from their description in docs/file-format.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

MAGIC = b"\x89CVT\r\n\x1a\n"
HEADER = struct.Struct("<8sIIIIQQ20xI")
ENTRY = struct.Struct("<24sIIQQQ8x")
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "<i8", 5: "u1"}
PIECE = 1 << 20


def _table():
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def section_sum(data):
    return crc32c(b"".join(struct.pack("<I", crc32c(data[at : at + PIECE])) for at in range(0, len(data), PIECE)))


@dataclass
class File:
    kind: int
    input_hash: int
    sections: dict[str, np.ndarray]


def read(data):
    magic, order, version, kind, count, size, input_hash, crc = HEADER.unpack_from(data)
    assert magic == MAGIC and order == 0x0A0B0C0D and version == 1
    assert size == len(data) and size % 64 == 0
    table = data[64 : 64 + 64 * count]
    assert crc == crc32c(data[:60] + table)
    sections, end = {}, 64 + 64 * count
    for index in range(count):
        name, dtype, crc, offset, rows, columns = ENTRY.unpack_from(table, 64 * index)
        array = np.frombuffer(data, DTYPES[dtype], rows * columns, offset).reshape(rows, columns)
        assert offset == end and crc == section_sum(array.tobytes())
        end = (offset + array.nbytes + 63) // 64 * 64
        assert not any(data[offset + array.nbytes : end])
        sections[name.rstrip(b"\0").decode("ascii")] = array
    assert end == size
    return File(kind, input_hash, sections)


def write(file, *, version=1, order=0x0A0B0C0D):
    numbers = {np.dtype(text): number for number, text in DTYPES.items()}
    at = 64 + 64 * len(file.sections)
    table, body = b"", b""
    for name, array in file.sections.items():
        data = array.tobytes()
        table += ENTRY.pack(name.encode("ascii"), numbers[array.dtype], section_sum(data), at + len(body), *array.shape)
        body += data + bytes(-len(data) % 64)
    head = HEADER.pack(MAGIC, order, version, file.kind, len(file.sections), at + len(body), file.input_hash, 0)
    return head[:60] + struct.pack("<I", crc32c(head[:60] + table)) + table + body


_MASK = (1 << 64) - 1


def _mixed(value):
    z = (value + 0x9E3779B97F4A7C15) & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return z ^ z >> 31


def points_hash(points, indices=None):
    total = 0
    for index, row in zip(range(len(points)) if indices is None else indices, np.asarray(points, np.float64) + 0.0):
        value = _mixed(int(index))
        for x in row:
            value = _mixed(value ^ struct.unpack("<Q", struct.pack("<d", x))[0])
        total = (total + value) & _MASK
    return total
