"""An independent reader of OmenDB files, written from docs/FORMAT.md; see tools/omen_dump.py.

    xxh3       the checksum
    document   binary documents and encoded schemas
    file       superblocks, catalog, arrays, slots, heaps
    log        segments, frames, batches, and the state that they lead to
    verify     everything that an image must keep to
"""
