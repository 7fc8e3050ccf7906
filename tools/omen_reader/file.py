"""The data file: superblocks, catalog, arrays, and what lies in them (docs/FORMAT.md)."""
import collections
import functools
import os
import struct

from omen_reader.document import Corrupt, Schema, document_decode, need
from omen_reader.xxh3 import xxh3_64, xxh3_128

BLOCK = 65536
NONE = 0xFFFFFFFF
NEVER = 0xFFFFFFFFFFFFFFFF
MAGIC = b"OmenDB\r\n\x1a\n\0\0\0\0\0\0"
PAYLOAD_MAX = BLOCK - 512
INLINE_REFS, LEAF_REFS = 256, BLOCK // 16
RUN_MIN = 32768

(SLOTS, ID_BUCKETS, ID_OVERFLOW, DOC_CHUNKS, DOC_META, ID_CHUNKS, ID_META, VECTORS, NODES,
 LINKS, VECTOR_HEADS) = range(1, 12)
DERIVED_MIN = 32

Root = collections.namedtuple("Root", """magic format_major format_minor compat ro_compat incompat
    uuid generation sequence time_ns state block_size wal_segment wal_offset wal_salt wal_chain
    block_count catalog_refs catalog_size payload_size payload_low payload_high cipher
    origin_uuid origin_generation reserved
    root_low root_high""")
ROOT = struct.Struct("<16sII3Q16s3QII4QII2Q2Q64s16sQ240s2Q")
Reference = collections.namedtuple("Reference", "block birth checksum")
REFERENCE = struct.Struct("<IIQ")
Slot = collections.namedtuple("Slot", "birth death document id hash previous next flags")
SLOT = struct.Struct("<QQQQIIII")
ID_TEXT, FREE = 1, 2
assert ROOT.size == 512 and SLOT.size == 48


class Unsupported(Exception):
    """A well-formed file of a format or with a feature that this reader doesn't know."""


class Superblock:
    def __init__(self, root, payload):
        self.root, self.payload = root, payload
        self.references = ([Reference(*r) for r in REFERENCE.iter_unpack(payload)]
                           if root.catalog_refs else [])


def superblock_read(descriptor, slot):
    """A valid superblock, or None."""
    data = os.pread(descriptor, BLOCK, slot * BLOCK)
    if len(data) < ROOT.size or data[:16] != MAGIC:
        return None
    root = Root(*ROOT.unpack_from(data))
    if xxh3_128(data[:496]) != (root.root_low, root.root_high):
        return None
    if root.format_major != 1:
        raise Unsupported(f"format {root.format_major}.{root.format_minor}")
    if root.incompat:
        raise Unsupported(f"unknown features {root.incompat:#x}")
    if root.block_size != BLOCK or root.payload_size > PAYLOAD_MAX or root.block_count < 2 \
            or root.state > 1:
        return None
    if root.catalog_refs == 0:
        if root.payload_size != root.catalog_size:
            return None
    elif root.payload_size != 16 * root.catalog_refs \
            or root.catalog_size > BLOCK * root.catalog_refs:
        return None
    payload = data[512:512 + root.payload_size]
    if len(payload) != root.payload_size \
            or xxh3_128(payload) != (root.payload_low, root.payload_high):
        return None
    return Superblock(root, payload)


def pin(descriptor, generation):
    """A shared lock on the byte of this generation: the writer then keeps its blocks and log."""
    try:
        import fcntl
        lock = struct.pack("@hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET,
                           (1 << 62) + 4096 + generation % (1 << 20), 1, 0)
        fcntl.fcntl(descriptor, 37, lock)  # F_OFD_SETLK of Linux
    except (ImportError, OSError):
        pass  # A system or medium without such locks: hope that nobody writes.


class File:
    """An open database; `live` is the superblock that counts, `collections` its catalog."""

    def __init__(self, path, problems):
        self.path, self.problems = path, problems
        self.used = {}  # block -> what refers to it
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            self._superblocks_read()
            self.block = functools.lru_cache(maxsize=256)(self._block)
            self._catalog_read()
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)

    def _superblocks_read(self):
        for _ in range(10):
            slots = [superblock_read(self.descriptor, i) for i in (0, 1)]
            valid = [s for s in slots if s]
            need(valid, "no valid superblock: not an OmenDB file, or both are damaged")
            newest = max(s.root.generation for s in valid)
            pin(self.descriptor, newest)
            again = [superblock_read(self.descriptor, i) for i in (0, 1)]
            if newest == max((s.root.generation for s in again if s), default=0):
                break
        self.live = max(valid, key=lambda s: s.root.generation)
        self.alone = len(valid) == 1
        if self.alone:
            self.problems.append(f"superblock {slots.index(None)} is damaged")
        else:
            other = slots[1 - slots.index(self.live)]
            need(other.root.uuid == self.live.root.uuid, "the superblocks have different uuids")

    def _block(self, reference):
        need(2 <= reference.block < self.live.root.block_count,
             f"block {reference.block} lies outside the image")
        data = os.pread(self.descriptor, BLOCK, reference.block * BLOCK)
        need(len(data) == BLOCK, f"block {reference.block}: the file ends before it")
        need(xxh3_64(data) == reference.checksum, f"block {reference.block}: checksum mismatch")
        return data

    def claim(self, reference, what):
        """Notes that the image refers to a block; two references are one too many."""
        before = self.used.setdefault(reference.block, what)
        if before is not what:
            self.problems.append(f"block {reference.block} belongs to {before} and {what}")

    def _catalog_read(self):
        root, catalog = self.live.root, self.live.payload
        if root.catalog_refs:
            for i, reference in enumerate(self.live.references):
                self.claim(reference, f"catalog block {i}")
            catalog = b"".join(map(self.block, self.live.references))[:root.catalog_size]
        need(len(catalog) >= 32, "catalog: cut short")
        (count, self.next_collection_id, records_size, extents, known, _) = struct.unpack_from(
            "<IIQIIQ", catalog)
        need(count <= 1024 and 32 + records_size + 8 * extents == len(catalog),
             "catalog: malformed head")
        self.extents = list(struct.iter_unpack("<II", catalog[32 + records_size:])) \
            if known == 1 else None
        self.collections, cursor = [], Cursor(catalog, 32, 32 + records_size)
        for _ in range(count):
            size = struct.unpack_from("<I", cursor.take(4))[0]
            need(size >= 4, "catalog: a record's size")
            record = Cursor(catalog, cursor.at, cursor.at + size - 4)
            cursor.take(size - 4)
            self.collections.append(Collection(self, record))
        need(cursor.at == cursor.end, "catalog: bytes behind the records")
        names = [c.name.encode() for c in self.collections]
        ids = {c.id for c in self.collections}
        need(names == sorted(set(names)) and len(ids) == count, "catalog: names or ids repeat")
        need(all(i < self.next_collection_id for i in ids), "catalog: an id from the future")


class Cursor:
    def __init__(self, data, at, end):
        self.data, self.at, self.end = data, at, end
        need(end <= len(data), "catalog: cut short")

    def take(self, size):
        need(size <= self.end - self.at, "catalog: cut short")
        self.at += size
        return self.data[self.at - size:self.at]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def u64(self):
        return int.from_bytes(self.take(8), "little")


class Array:
    """Elements of `stride` bytes; block b holds elements [b * per_block, (b + 1) * per_block)."""

    def __init__(self, file, cursor):
        (self.kind, self.field, self.stride, _flags, self.block_count, leaf_count,
         self.covers_sequence, _reserved) = struct.unpack("<6I2Q", cursor.take(40))
        need(1 <= self.stride <= BLOCK, "catalog: an array is malformed")
        if leaf_count == 0:
            need(self.block_count <= INLINE_REFS, "catalog: an array has too many references")
        else:
            need(leaf_count == -(-self.block_count // LEAF_REFS), "catalog: an array's leaves")
        self.file, self.per_block = file, BLOCK // self.stride
        count = leaf_count or self.block_count
        listed = [Reference(*r) for r in REFERENCE.iter_unpack(cursor.take(16 * count))]
        self.leaves = listed if leaf_count else []
        self._inline = None if leaf_count else listed
        for i, leaf in enumerate(self.leaves):
            file.claim(leaf, f"{self} leaf {i}")

    def __str__(self):
        return f"array {self.kind} field {self.field}"

    def reference(self, block):
        if self._inline is not None:
            return self._inline[block]
        leaf = self.file.block(self.leaves[block // LEAF_REFS])
        return Reference(*REFERENCE.unpack_from(leaf, block % LEAF_REFS * 16))

    @property
    def capacity(self):
        return self.block_count * self.per_block

    def block(self, block):
        """The block's bytes; None for a hole."""
        reference = self.reference(block)
        if reference.block == 0:
            return None
        try:
            return self.file.block(reference)
        except Corrupt as damage:
            raise Corrupt(f"{self} elements {block * self.per_block} to "
                          f"{(block + 1) * self.per_block - 1}: {damage}") from None

    def element(self, index):
        need(index < self.capacity, f"{self} has no element {index}")
        data = self.block(index // self.per_block)
        if data is None:
            need(self.kind not in (VECTORS, DOC_CHUNKS, ID_CHUNKS),
                 f"{self}: element {index} lies in a hole")
            return bytes(self.stride)
        at = index % self.per_block * self.stride
        return data[at:at + self.stride]

    def unpack(self, index, form):
        return struct.unpack(form, self.element(index))


class Heap:
    def __init__(self, cursor):
        (self.chunk_count, self.current, self.current_used, self.used_bytes,
         self.live_bytes) = struct.unpack("<5Q", cursor.take(40))
        self.chunks = self.meta = None

    def read(self, location):
        """(owner, bytes) of a record."""
        chunk, offset = location >> 16, location & 0xFFFF
        need(chunk < self.chunk_count and offset % 8 == 0 and offset <= BLOCK - 8,
             f"{self.chunks}: location {location:#x} is out of range")
        data = self.chunks.element(chunk)
        size, owner = struct.unpack_from("<II", data, offset)
        if size <= RUN_MIN:
            need(offset + 8 + size <= BLOCK, f"{self.chunks}: a record exceeds its chunk")
            return owner, data[offset + 8:offset + 8 + size]
        count = run_chunks(size)
        need(offset == 0 and chunk + count <= self.chunk_count, f"{self.chunks}: a run's place")
        whole = b"".join(self.chunks.element(chunk + i) for i in range(count))
        return owner, whole[8:8 + size]


def record_size(size):
    return (8 + size + 7) & ~7


def run_chunks(size):
    return -(-(8 + size) // BLOCK)


FieldCounters = collections.namedtuple(
    "FieldCounters", """node_count nodes_live free_head retired_head retiring_head free_count held_free
    bucket_count entry_count""")
LINK, NODE = "<III", "<IIII"


class VectorStore:
    vectors = nodes = links = heads = None

    def __init__(self, field, cursor):
        self.field = field
        self.counters = FieldCounters(*struct.unpack("<9Q", cursor.take(72)))
        self.derived_count = cursor.u32()
        self.derived = []
        need(self.derived_count <= 16, "catalog: too many derived arrays")


class Collection:
    """A collection's record in the catalog."""

    def __init__(self, file, cursor):
        self.file, self.id, self.born = file, cursor.u32(), cursor.u64()
        name = cursor.take(cursor.u32())
        need(1 <= len(name) <= 128 and 0 not in name, "catalog: a collection's name")
        self.name = name.decode("utf-8", "surrogateescape")
        self.schema_bytes = cursor.take(cursor.u32())
        self.schema = Schema(self.schema_bytes)
        (self.slot_count, self.slot_capacity, self.live_count, self.growth_count, self.free_head,
         self.free_count, self.retired_head, self.retiring_head, self.dead_head, self.dead_count,
         self.bucket_count) = struct.unpack("<11Q", cursor.take(88))
        self.overflow_count, self.overflow_free = cursor.u32(), cursor.u32()
        self.documents, self.id_texts = Heap(cursor), Heap(cursor)
        self.entry_count = cursor.u64()
        self.stores = [VectorStore(field, cursor) for field in self.schema.vectors]
        self.derived_count = cursor.u32()
        need(self.derived_count <= 64, "catalog: too many derived arrays")
        self._arrays_read(cursor)
        need(cursor.at == cursor.end, f"catalog: the record of {self.name} has a wrong size")

    def _arrays_read(self, cursor):
        def take(kind, field, stride):
            array = Array(self.file, cursor)
            need((array.kind, array.field, array.stride) == (kind, field, stride),
                 f"catalog: {array} where {kind} should be")
            self.arrays.append(array)
            return array

        self.arrays = []
        self.slots = take(SLOTS, 0, 48)
        self.buckets = take(ID_BUCKETS, 0, 64)
        self.overflow = take(ID_OVERFLOW, 0, 64)
        for heap, kind in ((self.documents, DOC_CHUNKS), (self.id_texts, ID_CHUNKS)):
            heap.chunks = take(kind, 0, BLOCK)
            heap.meta = take(kind + 1, 0, 8)
        for f, store in enumerate(self.stores):
            store.vectors = take(VECTORS, f, store.field.size)
            store.nodes = take(NODES, f, 16)
            store.links = take(LINKS, f, 12)
            store.heads = take(VECTOR_HEADS, f, 4)
            for _ in range(store.derived_count):
                array = Array(self.file, cursor)
                need(array.kind >= DERIVED_MIN and array.field == f,
                     f"catalog: {array} isn't a derived one")
                self.arrays.append(array)
                store.derived.append(array)
        for _ in range(self.derived_count):
            array = Array(self.file, cursor)
            need(array.kind >= DERIVED_MIN and array.field == 0,
                 f"catalog: {array} isn't a derived one")
            self.arrays.append(array)

    def slot(self, index):
        return Slot(*self.slots.unpack(index, SLOT.format))

    def slot_id(self, slot):
        """The id as bytes (a string) or int."""
        return self.id_texts.read(slot.id)[1] if slot.flags & ID_TEXT else slot.id

    def visible(self, sequence):
        """(slot number, slot) of every version that is visible at the sequence."""
        for index in range(self.slot_count):
            slot = self.slot(index)
            if not slot.flags & FREE and slot.birth <= sequence < slot.death:
                yield index, slot


class Stored:
    """A document of the image, read when it is wanted."""

    def __init__(self, collection, index, slot, key):
        self.collection, self.index, self.slot, self.key = collection, index, slot, key
        self.id = key.decode("utf-8", "replace") if isinstance(key, bytes) else key

    def decoded(self):
        return document_decode(self.collection.documents.read(self.slot.document)[1])

    def vectors(self):
        found = []
        for store in self.collection.stores:
            node = store.links.unpack(self.index, LINK)[0]
            need(node == NONE or node < store.counters.node_count, f"there is no node {node}")
            found.append(None if node == NONE else store.vectors.element(node))
        return found
