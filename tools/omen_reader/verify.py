"""Everything that an image must keep to (docs/FORMAT.md, "Rules of an image")."""
import collections
import struct

from omen_reader.document import Corrupt, document_decode
from omen_reader.file import (BLOCK, FREE, ID_TEXT, LINK, NEVER, NODE, NONE, RUN_MIN, record_size,
                              run_chunks)
from omen_reader.xxh3 import xxh3_64

EMPTY = 0xFFFFFFFFFFFFFFFF
NODE_FREE, NODE_HELD, NODE_LINKED = 1, 2, 4
CODES, GRAPH_LINKS, GRAPH_STATE = 32, 34, 35
GRAPH_ENTRIES = 712  # Offset in the graph's state.
# Field types of a schema, 0 any to 8 object, as Python sees their values; 6 is {"$binary": ...}.
DECLARED = (object, bool, int, (int, float), str, str, dict, list, dict)


def id_hash(key):
    return folded(xxh3_64(key) if isinstance(key, bytes) else xxh3_64(struct.pack("<Q", key), 1))


def folded(value):
    return (value ^ value >> 32) & NONE


def bucket_of(value, count):
    level = count.bit_length() - 1
    wide = value & ((2 << level) - 1)
    return wide if wide < count else value & ((1 << level) - 1)


class Checker:
    def __init__(self, collection, problems):
        self.c, self.problems = collection, problems
        self.slots = []

    def problem(self, text):
        self.problems.append(f"{self.c.name}: {text}")

    def expect(self, condition, text):
        if not condition:
            self.problem(text)

    def equal(self, found, counted, what):
        self.expect(found == counted, f"{found} {what}, {counted} are counted")

    def guarded(self, step, *arguments):
        """Damage ends one step, not the check."""
        try:
            return step(*arguments)
        except (Corrupt, IndexError) as damage:
            return self.problem(str(damage))

    def run(self):
        for array in self.c.arrays:
            self.guarded(self.blocks, array)
        self.guarded(self.read_slots)
        if len(self.slots) != self.c.slot_count:
            return  # The rest would only repeat what is damaged.
        self.guarded(self.slot_lists)
        self.guarded(self.ids)
        for store in self.c.stores:
            self.guarded(self.nodes, store)
            self.guarded(self.vector_map, store)
            self.guarded(self.graph, store)
        self.guarded(self.documents)
        self.guarded(self.texts)

    def blocks(self, array):
        for block in range(array.block_count):
            reference = self.guarded(array.reference, block)
            if reference is None or reference.block == 0:
                continue
            array.file.claim(reference, f"{self.c.name} {array} block {block}")
            self.guarded(array.block, block)

    # ---- Slots ----

    def read_slots(self):
        c = self.c
        self.expect(c.slot_count <= c.slot_capacity <= c.slots.capacity or c.slot_capacity == 0,
                    "slot counters exceed their array")
        self.slots = [c.slot(i) for i in range(c.slot_count)]
        used = [s for s in self.slots if not s.flags & FREE]
        self.equal(sum(s.death == NEVER for s in used), c.live_count, "documents are alive")
        for index, slot in enumerate(self.slots):
            if not slot.flags & FREE:
                self.expect(slot.birth <= slot.death, f"slot {index} dies before it is born")
                self.expect(slot.birth <= c.file.live.root.sequence,
                            f"slot {index} was born after the image")
                self.expect(slot.flags & ~ID_TEXT == 0, f"slot {index}: flags {slot.flags:#x}")

    def walk(self, head, after, limit, what):
        found, at = [], head
        while at != NONE and len(found) <= limit:
            found.append(at)
            at = after(at)
        self.expect(len(found) <= limit, f"the list of {what} has a loop")
        return found

    def slot_lists(self):
        c, seen = self.c, []
        for head, what in ((c.free_head, "free"), (c.retired_head, "retired"),
                           (c.retiring_head, "retiring")):
            found = self.walk(head, lambda i: self.slots[i].next, c.slot_count, f"{what} slots")
            seen += found
            if what == "free":
                self.equal(len(found), c.free_count, "slots are free")
        free = [i for i, s in enumerate(self.slots) if s.flags & FREE]
        self.expect(sorted(seen) == free, "the lists of free slots aren't the free slots")
        dead, at = [], c.dead_head
        for _ in range(c.dead_count):
            dead.append(at)
            at = self.slots[at].next
        listed = [i for i, s in enumerate(self.slots)
                  if not s.flags & FREE and s.death != NEVER]
        self.expect(sorted(dead) == listed, "the dead list isn't the dead versions")
        deaths = [self.slots[i].death for i in dead]
        self.expect(deaths == sorted(deaths), "the dead list isn't in the order of deaths")

    # ---- Ids ----

    def chain_of(self, bucket):
        c = self.c
        *entries, overflow, reserved = c.buckets.unpack(bucket, "<7QII")
        hops = 0
        while overflow != NONE and hops <= c.overflow_count:
            self.expect(overflow < c.overflow_count, f"bucket {bucket}: its overflow link")
            *more, overflow, reserved = c.overflow.unpack(overflow, "<7QII")
            entries += more
            hops += 1
        self.expect(overflow == NONE, f"bucket {bucket}: its chain has a loop")
        self.expect(reserved == 0, f"bucket {bucket}: reserved bytes aren't zero")
        return [e for e in entries if e != EMPTY]

    def ids(self):
        c, total, newest = self.c, 0, {}
        for bucket in range(c.bucket_count):
            for entry in self.chain_of(bucket):
                slot, value = entry & NONE, entry >> 32
                total += 1
                self.expect(bucket_of(value, c.bucket_count) == bucket,
                            f"the entry of slot {slot} lies in a wrong bucket")
                if slot >= c.slot_count or self.slots[slot].flags & FREE:
                    self.problem(f"bucket {bucket} leads to slot {slot}, which isn't one")
                    continue
                key = c.slot_id(self.slots[slot])
                self.expect(value == self.slots[slot].hash == id_hash(key),
                            f"slot {slot}: the hash of its id")
                self.expect(key not in newest, f"the id {key!r} has two entries")
                newest[key] = slot
        self.equal(total, c.entry_count, "ids are in the map")
        seen = set()
        for key, head in newest.items():
            chain = self.walk(head, lambda i: self.slots[i].previous, c.slot_count,
                              f"versions of {key!r}")
            for before, after in zip(chain, chain[1:]):
                self.expect(self.slots[after].birth <= self.slots[before].birth,
                            f"slot {before} is older than the version before it")
            for index in chain:
                slot = self.slots[index]
                self.expect(not slot.flags & FREE and c.slot_id(slot) == key,
                            f"slot {index} isn't a version of {key!r}")
            seen.update(chain)
        used = {i for i, s in enumerate(self.slots) if not s.flags & FREE}
        self.expect(seen == used, f"{len(used - seen)} versions can't be reached by their ids")

    # ---- Vectors ----

    def nodes(self, store):
        c, counters = self.c, store.counters
        name = store.field.name
        links = [store.links.unpack(i, LINK) for i in range(c.slot_count)]
        nodes = [store.nodes.unpack(i, NODE) for i in range(counters.node_count)]
        members = collections.defaultdict(set)
        for index, (node, _, _) in enumerate(links):
            if node == NONE or self.slots[index].flags & FREE:
                continue
            self.expect(node < counters.node_count, f"{name}: slot {index} has node {node}")
            members[node].add(index)
        live = [i for i, (_, flags, _, _) in enumerate(nodes) if not flags & NODE_FREE]
        held = [i for i, (_, flags, _, _) in enumerate(nodes)
                if flags & NODE_FREE and flags & NODE_HELD]
        self.equal(len(held), counters.held_free, f"free nodes of {name} are held")
        for node, (head, flags, _, _) in enumerate(nodes):
            self.expect(flags <= 7 and flags & (NODE_HELD | NODE_LINKED) != NODE_LINKED,
                        f"{name}: node {node} has flags {flags:#x}")
            self.expect(node not in held or head == NONE, f"{name}: node {node} is on a list")
        self.equal(len(live), counters.nodes_live, f"vectors of {name} are there")
        for node in live:
            chain = self.walk(nodes[node][0], lambda i: links[i][1], c.slot_count,
                              f"slots of node {node}")
            self.expect(set(chain) == members.pop(node, set()) and chain,
                        f"{name}: the chain of node {node} isn't its slots")
            self.expect([links[i][2] for i in chain] == [NONE, *chain][:-1],
                        f"{name}: the chain of node {node} doesn't lead back")
            self.guarded(store.vectors.element, node)
        self.expect(not members, f"{name}: slots have a free node")
        free = []
        for head, what in ((counters.free_head, "free"), (counters.retired_head, "retired"),
                           (counters.retiring_head, "retiring")):
            found = self.walk(head, lambda i: nodes[i][0], counters.node_count, f"{what} nodes")
            free += found
            if what == "free":
                self.equal(len(found), counters.free_count, f"nodes of {name} are free")
        self.expect(sorted(free) == sorted(set(range(counters.node_count)) - {*live, *held}),
                    f"{name}: the lists of free nodes aren't the free nodes")

    def vector_map(self, store):
        counters, name = store.counters, store.field.name
        found, vectors = [], set()
        self.expect(counters.bucket_count <= store.heads.capacity,
                    f"{name}: the vector map exceeds its array")
        for bucket in range(counters.bucket_count):
            chain = self.walk(store.heads.unpack(bucket, "<I")[0],
                              lambda i: store.nodes.unpack(i, NODE)[3], counters.node_count,
                              f"nodes of bucket {bucket}")
            for node in chain:
                value, vector = store.nodes.unpack(node, NODE)[2], store.vectors.element(node)
                self.expect(value == folded(xxh3_64(vector)),
                            f"{name}: node {node}: the hash of its vector")
                self.expect(bucket_of(value, counters.bucket_count) == bucket,
                            f"{name}: node {node} lies in a wrong bucket")
                self.expect(vector not in vectors, f"{name}: node {node}'s vector has another node")
                vectors.add(vector)
            found += chain
        self.equal(len(found), counters.entry_count, f"vectors of {name} are in the map")
        live = [i for i in range(counters.node_count)
                if not store.nodes.unpack(i, NODE)[1] & NODE_FREE]
        self.expect(sorted(found) == live, f"{name}: the vector map isn't the nodes in use")

    # ---- Graphs ----

    def graph(self, store):
        """Rows lead to held nodes; held nodes have codes in the frame; counts."""
        arrays = {array.kind: array for array in store.derived}
        name, count = store.field.name, store.counters.node_count
        state = arrays.get(GRAPH_STATE)
        if state is None or state.capacity == 0:
            return
        data = state.element(0)
        (version, profile, frame, recoded, unit, _reserved, linked, _finished, entries_count,
         begun) = struct.unpack_from("<4I2f4I", data)
        self.expect(version <= 2 and profile <= 2, f"{name}: the graph's state is wrong")
        if version == 0 or not begun or recoded != NONE:
            return
        links, codes = arrays[GRAPH_LINKS], arrays[CODES]
        flags = [store.nodes.unpack(i, NODE)[1] for i in range(count)]
        self.equal(sum(1 for f in flags if f & NODE_LINKED), linked, f"nodes of {name} are linked")
        self.expect(unit > 0, f"{name}: the graph's frame is wrong")
        for node, held in enumerate(flags):
            slots = [s for s in self.row(links, node) if s]
            others = [(s & 0x7FFFFFFF) - 1 for s in slots]
            self.expect(held & NODE_HELD or not slots, f"{name}: row {node} of a node not held")
            self.expect(len(set(others)) == len(others) and node not in others,
                        f"{name}: row {node} leads to a node twice, or to itself")
            self.expect(all(other < count and flags[other] & NODE_HELD for other in others),
                        f"{name}: row {node} leads to a node that isn't held")
            if held & NODE_HELD:
                error, centre = struct.unpack_from("<2H", codes.element(node), 12)
                self.expect(error != 0 and centre == frame,
                            f"{name}: the code of node {node} isn't in the frame")
        self.expect(entries_count <= (512, 2560)[version - 1],
                    f"{name}: {entries_count} nodes at which searches begin")
        table = data[GRAPH_ENTRIES:GRAPH_ENTRIES + 2048]
        if entries_count > 512:
            table += state.element(1) + state.element(2)
        entries = struct.unpack_from(f"<{entries_count}I", table)
        self.expect(all(e < count and flags[e] & NODE_HELD for e in entries),
                    f"{name}: searches begin at a node that isn't held")

    @staticmethod
    def row(links, node):
        return links.unpack(node, "<32I") if node < links.capacity else ()

    # ---- Heaps ----

    def heap(self, heap, records, what):
        """records: {location: (size, owner wanted)}"""
        live = collections.Counter()
        for location, (size, owner, wanted) in records.items():
            self.expect(owner == wanted, f"a record of {what} has owner {owner}, not {wanted}")
            chunk = location >> 16
            if size <= RUN_MIN:
                live[chunk] += record_size(size)
                continue
            for i in range(run_chunks(size)):
                live[chunk + i] += min(BLOCK, 8 + size - i * BLOCK)
        metas = [heap.meta.unpack(i, "<II") for i in range(heap.chunk_count)]
        for chunk, (used, counted) in enumerate(metas):
            self.expect(counted == live[chunk],
                        f"chunk {chunk} of {what} holds {live[chunk]} bytes, meta says {counted}")
            self.expect(counted <= used <= BLOCK, f"chunk {chunk} of {what}: {used} bytes used")
        self.equal(sum(used for used, _ in metas), heap.used_bytes, f"bytes of {what} are used")
        self.equal(sum(live.values()), heap.live_bytes, f"bytes of {what} are live")
        self.expect(heap.current == NONE or (heap.current < heap.chunk_count
                                             and metas[heap.current][0] == heap.current_used),
                    f"the current chunk of {what}")

        runs = {(location >> 16) + i for location, (size, _, _) in records.items()
                if size > RUN_MIN for i in range(run_chunks(size))}
        for chunk, (used, _) in enumerate(metas):
            if used == 0:
                self.expect(heap.chunks.block(chunk) is None, f"chunk {chunk} of {what} is free")
            elif chunk not in runs:
                self.tiles(heap.chunks.element(chunk), used, f"chunk {chunk} of {what}")

    def tiles(self, data, used, what):
        at = 0
        while at < used:
            at += record_size(struct.unpack_from("<I", data, at)[0])
        self.expect(at == used, f"the records of {what} don't tile it")

    def declared(self, index, document):
        for name, kind in self.c.schema.fields:
            value = document.get(name)
            self.expect(value is None or isinstance(value, DECLARED[kind])
                        and (not isinstance(value, bool) or kind < 2),
                        f"slot {index}: field {name!r} isn't what the schema declares")

    def documents(self):
        records = {}
        for index, slot in enumerate(self.slots):
            if slot.flags & FREE:
                continue
            self.expect(slot.document not in records, f"slot {index} shares its document")
            got = self.guarded(self.c.documents.read, slot.document)
            if got:
                records[slot.document] = len(got[1]), got[0], index
                document = self.guarded(document_decode, got[1])
                self.declared(index, document or {})
        self.heap(self.c.documents, records, "documents")

    def texts(self):
        records = {}
        for slot in self.slots:
            if not slot.flags & FREE and slot.flags & ID_TEXT:
                owner, text = self.c.id_texts.read(slot.id)
                records[slot.id] = len(text), owner, slot.hash
                self.expect(1 <= len(text) <= 1024, "an id's size")
        self.heap(self.c.id_texts, records, "ids")


def verify(file, problems):
    for collection in file.collections:
        Checker(collection, problems).run()
    root = file.live.root
    for name, data in (("cipher", root.cipher), ("reserved", root.reserved)):
        if any(data):
            problems.append(f"superblock: {name} bytes aren't zero")
    if file.extents is None:
        return
    free = set()
    for first, count in file.extents:
        blocks = range(first, first + count)
        if first < 2 or first + count > root.block_count or not free.isdisjoint(blocks):
            problems.append(f"the free extent {first} + {count} is out of range or overlaps")
        free.update(blocks)
    if not free.isdisjoint(file.used):
        problems.append("free extents hold blocks that are used")
    lost = root.block_count - 2 - len(free | file.used.keys())
    if lost:
        problems.append(f"{lost} blocks are neither used nor free")
