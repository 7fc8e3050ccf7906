"""The log, and the state that image and log lead to (docs/FORMAT.md, "Log")."""
import collections
import os
import struct

from omen_reader.document import Corrupt, Schema, document_decode, need
from omen_reader.file import Stored, Unsupported
from omen_reader.xxh3 import xxh3_64

PAGE = 4096
UNUSED_MAX = 8  # Segment numbers looked at behind one that isn't there.
SEGMENT_MAGIC, FRAME_MAGIC = b"OMENDWAL", b"FRME"
SegmentHeader = collections.namedtuple(
    "SegmentHeader", "magic format_major format_minor uuid number salt chain sequence size checksum")
SEGMENT = struct.Struct("<8sII16s6Q")
FrameHeader = collections.namedtuple(
    "FrameHeader", "checksum magic type payload_size sequence batch_count reserved salt chain "
                   "durable_sequence time_ns")
FRAME = struct.Struct("<Q4sIQQII4Q")
OPERATION = struct.Struct("<QBBHIIIQ")
UPSERT, DELETE, CREATE, DROP, RENAME = 1, 2, 3, 4, 5
assert SEGMENT.size == 80 and FRAME.size == 72 and OPERATION.size == 32


def padded(size):
    return (size + 7) & ~7


class Logged:
    """A document that comes from the log."""

    def __init__(self, key, document, vectors):
        self.key, self.document, self._vectors = key, document, vectors
        self.id = key.decode("utf-8", "replace") if isinstance(key, bytes) else key

    def decoded(self):
        return document_decode(self.document)

    def vectors(self):
        return self._vectors


class CollectionState:
    def __init__(self, number, name, schema):
        self.id, self.name, self.schema, self.documents = number, name, schema, {}


def sort_key(key):
    return (1, key) if isinstance(key, bytes) else (0, key)


class State:
    """Collections and their documents, at first as in the image."""

    def __init__(self, file, problems):
        self.sequence = file.live.root.sequence
        self.next_collection_id = file.next_collection_id
        self.collections = {}
        for stored in file.collections:
            state = CollectionState(stored.id, stored.name, stored.schema)
            self.collections[stored.id] = state
            try:
                for index, slot in stored.visible(self.sequence):
                    try:
                        key = stored.slot_id(slot)
                    except Corrupt as damage:
                        problems.append(f"{stored.name}, slot {index}: {damage}")
                        continue
                    if sort_key(key) in state.documents:
                        problems.append(f"{stored.name}: {key!r} is visible twice")
                    state.documents[sort_key(key)] = Stored(stored, index, slot, key)
            except Corrupt as damage:
                problems.append(f"{stored.name}: {damage}")

    def apply(self, operations):
        if len(operations) == 1 and operations[0].type >= CREATE:
            self._apply_catalog(operations[0])
            return
        for op in operations:
            need(op.type in (UPSERT, DELETE), "log: a catalog operation within a batch")
            need(op.collection in self.collections, f"log: collection {op.collection} is unknown")
            collection = self.collections[op.collection]
            if op.type == DELETE:
                collection.documents.pop(sort_key(op.key), None)
                continue
            vectors = [None] * len(collection.schema.vectors)
            for field, data in op.vectors:
                need(field < len(vectors) and vectors[field] is None
                     and len(data) == collection.schema.vectors[field].size,
                     "log: a vector fits no field")
                vectors[field] = data
            collection.documents[sort_key(op.key)] = Logged(op.key, op.document, vectors)

    def _apply_catalog(self, op):
        name = op.name.decode("utf-8", "surrogateescape")
        if op.type == CREATE:
            need(op.collection not in self.collections, "log: a collection's id comes twice")
            self._check_name(name)
            self.collections[op.collection] = CollectionState(op.collection, name,
                                                              Schema(op.document))
            self.next_collection_id = max(self.next_collection_id, op.collection + 1)
            return
        need(op.collection in self.collections, f"log: collection {op.collection} is unknown")
        if op.type == DROP:
            del self.collections[op.collection]
        else:
            self._check_name(name)
            self.collections[op.collection].name = name

    def _check_name(self, name):
        need(1 <= len(name.encode("utf-8", "surrogateescape")) <= 128
             and all(c.name != name for c in self.collections.values()),
             f"log: a collection can't be called {name!r}")


Operation = collections.namedtuple("Operation", "type collection key name document vectors")


def operation_parse(data):
    (size, kind, is_text, vector_count, collection, id_size, document_size,
     number) = OPERATION.unpack_from(data)
    if kind > RENAME:
        raise Unsupported(f"log: operation type {kind}")
    need(kind >= UPSERT and is_text <= 1 and size == len(data) and id_size <= 1024,
         "log: an operation is malformed")
    at = OPERATION.size
    text, at = data[at:at + id_size], at + padded(id_size)
    document, at = data[at:at + document_size], at + padded(document_size)
    need(at <= size, "log: an operation is cut off")
    vectors = []
    for _ in range(vector_count):
        need(at + 8 <= size, "log: a vector is cut off")
        field, vector_size = struct.unpack_from("<II", data, at)
        need(at + 8 + padded(vector_size) <= size, "log: a vector is cut off")
        vectors.append((field, data[at + 8:at + 8 + vector_size]))
        at += 8 + padded(vector_size)
    need(at == size, "log: an operation has a wrong size")
    return Operation(kind, collection, text if is_text else number, text, document, vectors)


class Log:
    def __init__(self, file, state, problems):
        self.file, self.state, self.problems = file, state, problems
        self.segments = self.frames = self.batches = 0
        self.data = b""

    def _segment(self, number):
        """The header of a segment that is there and its own, or None."""
        try:
            with open(f"{self.file.path}-wal-{number}", "rb") as segment:
                self.data = segment.read()
        except FileNotFoundError:
            self.data = b""
            return None
        if len(self.data) < SEGMENT.size:
            return None
        header = SegmentHeader(*SEGMENT.unpack_from(self.data))
        if (header.magic != SEGMENT_MAGIC or header.number != number
                or header.uuid != self.file.live.root.uuid
                or header.checksum != xxh3_64(self.data[:72])):
            return None
        if header.format_major > 1:
            raise Unsupported(f"log format {header.format_major}")
        return header

    def _frame(self, at, salt):
        """(header, payload) of a frame that is whole in itself, or None."""
        if at + PAGE > len(self.data):
            return None
        header = FrameHeader(*FRAME.unpack_from(self.data, at))
        if (header.magic != FRAME_MAGIC or header.salt != salt
                or header.payload_size > len(self.data) - at - FRAME.size):
            return None
        end = at + FRAME.size + header.payload_size
        if xxh3_64(self.data[at + 8:end], salt) != header.checksum:
            return None
        return header, self.data[at + FRAME.size:end]

    def replay(self):
        """Brings the state up to the end of the log. Damage ends it and is a problem."""
        try:
            self._replay(self.file.live.root)
        except Corrupt as damage:
            self.problems.append(str(damage))

    def _replay(self, root):
        number, offset, chain = root.wal_segment, root.wal_offset, root.wal_chain
        need(offset % PAGE == 0, "the image's place in the log isn't one")
        header = self._segment(number)
        if header is None and offset == 0:
            self._absent(number, chain)
        if header and offset and header.salt != root.wal_salt:
            header = None
        if header and not offset and (header.sequence, header.chain) != (
                self.state.sequence + 1, chain):
            header = None
        if header is None:
            need(offset == 0, f"log segment {number} is missing or damaged: batches are lost")
            need(not self.file.alone or root.state == 1,
                 "one superblock is damaged and no log proves that the other is the newest")
            return
        at = offset or PAGE
        while True:
            self.segments += 1
            at, chain = self._frames(number, at, chain, header.salt)
            self._rot(number, at, header.salt)
            number, header = self._segment_after(number, chain)
            if header is None:
                self._absent(number, chain)
                return
            if (header.sequence, header.chain) != (self.state.sequence + 1, chain):
                need(header.sequence <= self.state.sequence + 1,
                     f"log: acknowledged batches {self.state.sequence + 1} to "
                     f"{header.sequence - 1} are damaged")
                return
            at = PAGE

    def _segment_after(self, number, chain):
        """Number and header of the next segment: segments that were never used are left out."""
        header = self._segment(number + 1)
        if header is not None:
            return number + 1, header
        for ahead in range(number + 2, number + UNUSED_MAX + 1):
            header = self._segment(ahead)
            if header is not None:
                if (header.sequence, header.chain) == (self.state.sequence + 1, chain):
                    return ahead, header
                break
        return number + 1, self._segment(number + 1)

    def _absent(self, number, chain):
        """A segment has no header of its own: is that the log's end, or is the header damaged?"""
        following, start = self.state.sequence + 1, self.data[:SEGMENT.size]
        text = f"log segment {number}: its header is damaged; batches from {following} on are lost"
        if len(start) == SEGMENT.size and any(start) \
                and SegmentHeader(*SEGMENT.unpack(start)).checksum != xxh3_64(start[:72]) \
                and len(self.data) >= 2 * PAGE:
            salt = FrameHeader(*FRAME.unpack_from(self.data, PAGE)).salt
            frame = self._frame(PAGE, salt)
            need(not frame or (frame[0].sequence, frame[0].chain) != (following, chain), text)
        header = self._segment(number + 1)
        need(header is None or header.sequence < following, text)

    def _frames(self, number, at, chain, salt):
        while True:
            frame = self._frame(at, salt)
            if frame is None:
                return at, chain
            header, payload = frame
            if header.sequence != self.state.sequence + 1 or header.chain != chain:
                return at, chain
            if header.type not in (1, 2):
                raise Unsupported(f"log: frame type {header.type}")
            if header.type == 1:
                self._deliver(number, payload, header.batch_count)
            self.frames += 1
            chain = header.checksum
            at += (FRAME.size + header.payload_size + PAGE - 1) // PAGE * PAGE

    def _deliver(self, number, payload, batch_count):
        at = 0
        for _ in range(batch_count):
            need(at + 24 <= len(payload), f"log segment {number}: a frame is malformed")
            sequence, size, count, _ = struct.unpack_from("<QQII", payload, at)
            at += 24
            need(size <= len(payload) - at and size % 8 == 0
                 and sequence == self.state.sequence + 1,
                 f"log segment {number}: batch {sequence} is malformed")
            end, operations = at + size, []
            for _ in range(count):
                need(at + OPERATION.size <= end, "log: an operation is cut off")
                op_size = struct.unpack_from("<Q", payload, at)[0]
                need(OPERATION.size <= op_size <= end - at and op_size % 8 == 0,
                     "log: an operation has no valid size")
                operations.append(operation_parse(payload[at:at + op_size]))
                at += op_size
            need(at == end, "log: a batch has a wrong size")
            self.state.apply(operations)
            self.state.sequence = sequence
            self.batches += 1
        need(at == len(payload), f"log segment {number}: a frame holds more than batches")

    def _rot(self, number, at, salt):
        """After the last valid frame: does a later one say that more had been durable?"""
        for later in range(at + PAGE, len(self.data) - PAGE + 1, PAGE):
            if self.data[later + 8:later + 12] != FRAME_MAGIC:
                continue
            frame = self._frame(later, salt)
            if frame and frame[0].durable_sequence > self.state.sequence:
                raise Corrupt(f"log segment {number} byte {at}: acknowledged batches "
                              f"{self.state.sequence + 1} to {frame[0].durable_sequence} "
                              "are damaged")
