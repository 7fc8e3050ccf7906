"""Increments (docs/FORMAT.md, section 20), and restoring from them without the library."""
import collections
import os
import struct

from .document import need
from .file import BLOCK, REFERENCE, File, Reference, superblock_read
from .xxh3 import xxh3_64, xxh3_128

MAGIC = b"OmenINC\r\n\x1a\n" + bytes(5)
Header = collections.namedtuple("Header", """magic format_major format_minor uuid generation
    sequence base_generation base_sequence time_ns held_count others_count list_low list_high
    reserved header_low header_high""")
HEADER = struct.Struct("<16sII16s5Q2I2Q392s2Q")
assert HEADER.size == 512


class Increment:
    """`held`: reference -> where its block lies; `references`: all of the image."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            head = file.read(BLOCK)
            self.header = header = Header(*HEADER.unpack_from(head))
            need(xxh3_128(head[:496]) == (header.header_low, header.header_high), "header damaged")
            need(header.format_major == 1 and not any(header.reserved), "an unknown form")
            self.superblock = superblock_read(file.fileno(), 1)
            need(self.superblock, "its superblock is damaged")
            count = header.held_count + header.others_count
            file.seek(2 * BLOCK)
            data = file.read(16 * count)
            need(xxh3_128(data) == (header.list_low, header.list_high), "its list is damaged")
            self.references = [Reference(*r) for r in REFERENCE.iter_unpack(data)]
            parts = self.references[:header.held_count], self.references[header.held_count:]
            for part in parts:
                need(part == sorted(set(part)), "a part of the list doesn't ascend")
            at = (2 + -(-16 * count // BLOCK)) * BLOCK
            need(os.fstat(file.fileno()).st_size == at + BLOCK * header.held_count, "wrong size")
            self.held = {r: at + BLOCK * i for i, r in enumerate(parts[0])}
            file.seek(BLOCK)
            self.root_block = file.read(BLOCK)


class Whole(File):
    """A closed database as a source."""

    def __init__(self, path):
        self.references, problems = [], []
        super().__init__(path, problems)
        need(not problems and self.live.root.state == 1, f"{path}: not closed, or damaged")
        for collection in self.collections:
            for array in collection.arrays:
                found = map(array.reference, range(array.block_count))
                self.references += [reference for reference in found if reference.block]
        self.held = {r: r.block * BLOCK for r in self.references}
        slots = [superblock_read(self.descriptor, i) for i in (0, 1)]
        newest = slots.index(max(slots, key=lambda s: s.root.generation))
        self.root_block = os.pread(self.descriptor, BLOCK, newest * BLOCK)

    def claim(self, reference, what):  # Of the catalog, and of leaves.
        super().claim(reference, what)
        self.references.append(reference)


def source(path):
    with open(path, "rb") as file:
        return Increment(path) if file.read(16) == MAGIC else Whole(path)


def restore(paths, out):
    """Makes `out` of a backup and its increments; the uuid stays that of the last one."""
    sources = [source(path) for path in paths]
    with open(out, "xb") as target:
        for reference in sources[-1].references:
            found = next((s for s in reversed(sources) if reference in s.held), None)
            need(found, f"block {reference.block} is in none of the files")
            with open(found.path, "rb") as file:
                file.seek(found.held[reference])
                data = file.read(BLOCK)
            need(xxh3_64(data) == reference.checksum, f"block {reference.block} is damaged")
            target.seek(reference.block * BLOCK)
            target.write(data)
        for slot in (0, 1):
            target.seek(slot * BLOCK)
            target.write(sources[-1].root_block)
