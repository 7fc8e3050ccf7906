/* format.h - every byte on disk. docs/FORMAT.md is the normative text; this is its C form.
 *
 * One file of 64 KiB blocks, little-endian, beside it the log segments `<file>-wal-<n>`.
 *
 *     block 0   superblock slot A   512 B root, then the catalog itself or references to it
 *     block 1   superblock slot B
 *     block 2.. anything: array blocks, directory leaves, catalog blocks
 *
 * A block is known by a reference {block, birth generation, xxh3}: the checksum lies in the
 * parent, so that lost and misdirected writes are seen too.
 */
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "OmenDB maps its little-endian file: big-endian machines are not supported"
#endif

#define FORMAT_MAJOR 1u
#define FORMAT_MINOR 0u
#define FORMAT_MAGIC "OmenDB\r\n\x1a\n\0\0\0\0\0" /* 16 bytes with the final NUL. */

/* ext4-style: a reader that doesn't know a compat bit may go on, a ro_compat bit: read only, an
 * incompat bit: must refuse. */
#define FORMAT_COMPAT_KNOWN UINT64_C(0)
#define FORMAT_RO_COMPAT_KNOWN UINT64_C(0)
#define FORMAT_INCOMPAT_KNOWN UINT64_C(0)

#define BLOCK_SIZE 65536u
#define BLOCK_NONE 0u             /* Block 0 is a superblock, so no reference ever names it. */
#define BLOCK_FIRST 2u            /* The first block that isn't a superblock. */
#define SLOT_NONE UINT32_MAX      /* No slot, no node. */
#define SEQUENCE_NEVER UINT64_MAX /* death of a version that is alive. */

struct block_ref { /* 16 bytes */
    uint32_t block;
    uint32_t birth; /* Generation (low 32 bits) of the checkpoint that wrote it. */
    uint64_t checksum;
};

enum superblock_state { SUPERBLOCK_OPEN = 0, SUPERBLOCK_CLEAN = 1 };

struct superblock_root { /* 512 bytes at the start of block 0 and of block 1 */
    char magic[16];
    uint32_t format_major, format_minor;
    uint64_t compat, ro_compat, incompat;
    uint8_t uuid[16];
    uint64_t generation;
    uint64_t sequence; /* Every batch up to it is in this image. */
    uint64_t time_ns;  /* Wall clock when it was written. */
    uint32_t state;    /* enum superblock_state */
    uint32_t block_size;
    uint64_t wal_segment;         /* Replay begins here ... */
    uint64_t wal_offset;          /* ... at this byte ... */
    uint64_t wal_salt;            /* ... of the segment with this salt ... */
    uint64_t wal_chain;           /* ... after the frame with this checksum. */
    uint32_t block_count;         /* Blocks of the file this image may use. */
    uint32_t catalog_refs;        /* 0: the catalog follows the root; else so many block_refs do. */
    uint64_t catalog_size;        /* Bytes. */
    uint64_t payload_size;        /* Bytes that follow the root in this block. */
    uint64_t payload_checksum[2]; /* xxh3_128 of them. */
    uint8_t cipher_reserved[64];
    uint8_t origin_uuid[16];    /* A backup: the database it was made of; zeros: none. */
    uint64_t origin_generation; /* Of that database's image. Any later superblock has zeros here. */
    uint8_t reserved[240];
    uint64_t root_checksum[2]; /* xxh3_128 of the 496 bytes before. */
};

#define SUPERBLOCK_PAYLOAD_MAX (BLOCK_SIZE - 512u)

/* Arrays of a collection. Kinds from 32 on belong to indexes and can be rebuilt. */
enum array_kind {
    ARRAY_SLOTS = 1,      /* struct slot, by slot */
    ARRAY_ID_BUCKETS = 2, /* struct id_bucket, by bucket */
    ARRAY_ID_OVERFLOW = 3,
    ARRAY_DOC_CHUNKS = 4, /* 64 KiB of records, by chunk */
    ARRAY_DOC_META = 5,   /* struct heap_chunk, by chunk */
    ARRAY_ID_CHUNKS = 6,
    ARRAY_ID_META = 7,
    ARRAY_VECTORS = 8,       /* by node */
    ARRAY_NODES = 9,         /* struct node, by node */
    ARRAY_LINKS = 10,        /* struct slot_link, by slot */
    ARRAY_VECTOR_HEADS = 11, /* u32, by bucket of the vector map (vector_map.h) */
    ARRAY_CODES = 32,        /* quantised vectors, by node */
    ARRAY_CODE_PARAMS = 33,
    ARRAY_GRAPH_LINKS = 34, /* stride 128 */
    ARRAY_GRAPH_STATE = 35  /* stride 4096 */
};

struct slot {          /* 48 bytes: one immutable version of a document */
    uint64_t birth;    /* Sequence that made it. */
    uint64_t death;    /* Sequence that replaced or deleted it; SEQUENCE_NEVER = alive. */
    uint64_t document; /* Heap location (heap.h). */
    uint64_t id;       /* The number, or the heap location of the string. */
    uint32_t hash;     /* Of the id. */
    uint32_t previous; /* The version before, or SLOT_NONE. */
    uint32_t next;     /* Free or dead list. */
    uint32_t flags;    /* SLOT_* */
};
#define SLOT_ID_TEXT 1u
#define SLOT_FREE 2u /* On a free list, or never used. */

struct node {       /* 16 bytes: one stored vector */
    uint32_t head;  /* First slot of its chain, the next free node, or SLOT_NONE (free and held). */
    uint32_t flags; /* NODE_* */
    uint32_t hash;  /* Of the vector's bytes; as the next, only while the node isn't free. */
    uint32_t hash_next; /* Next node of the same bucket of the vector map, or SLOT_NONE. */
};
#define NODE_FREE 1u
#define NODE_HELD 2u   /* An index refers to its number: not reused while it is set. */
#define NODE_LINKED 4u /* The index finds it; only with HELD. */
#define NODE_FLAGS (NODE_FREE | NODE_HELD | NODE_LINKED)

struct slot_link {     /* 12 bytes, by slot, one array for each vector field */
    uint32_t node;     /* SLOT_NONE: the document has no such vector. */
    uint32_t next;     /* Next slot with the same node. */
    uint32_t previous; /* The slot before it, or SLOT_NONE: the node's head leads here. */
};

struct heap_chunk { /* 8 bytes */
    uint32_t used;  /* Bytes appended. 0 = the chunk is free. */
    uint32_t live;  /* Bytes of records that are still wanted. */
};

#define ID_BUCKET_ENTRIES 7u
struct id_bucket {                       /* 64 bytes */
    uint64_t entries[ID_BUCKET_ENTRIES]; /* hash << 32 | slot; all ones = empty */
    uint32_t overflow;                   /* Next bucket in the overflow array, or SLOT_NONE. */
    uint32_t reserved;
};

/* ---- Log ---- */
#define WAL_MAGIC UINT64_C(0x4C4157444E454D4F) /* "OMENDWAL" */
#define WAL_FRAME_MAGIC UINT32_C(0x454D5246)   /* "FRME" */
#define WAL_PAGE 4096u

struct wal_segment_header { /* The first 4 KiB of a segment; 80 bytes used. */
    uint64_t magic;
    uint32_t format_major, format_minor;
    uint8_t uuid[16];  /* Of the database. */
    uint64_t number;   /* <n> of its name. */
    uint64_t salt;     /* Drawn for this segment; every frame repeats it. */
    uint64_t chain;    /* Checksum of the frame before its first one. */
    uint64_t sequence; /* The first frame's first sequence. */
    uint64_t size;     /* Bytes of the file. */
    uint64_t checksum; /* xxh3_64 of the bytes before. */
};

enum wal_frame_type { WAL_FRAME_BATCHES = 1, WAL_FRAME_MARK = 2 };

struct wal_frame_header { /* 72 bytes, at a multiple of 4 KiB; the payload follows. */
    uint64_t checksum;    /* xxh3_64 of everything after it, header and payload, seeded by salt. */
    uint32_t magic;
    uint32_t type;         /* enum wal_frame_type */
    uint64_t payload_size; /* Bytes; the frame is padded with zeros to 4 KiB. */
    uint64_t sequence;     /* Of its first batch (of the next one for a mark). */
    uint32_t batch_count;
    uint32_t reserved;
    uint64_t salt;
    uint64_t chain;            /* Checksum of the frame before. */
    uint64_t durable_sequence; /* Every batch up to it was synced before this was written. */
    uint64_t time_ns;
};

struct batch_header { /* 24 bytes; operations follow, padded to 8 */
    uint64_t sequence;
    uint64_t size; /* Bytes of the operations. */
    uint32_t operation_count;
    uint32_t reserved;
};

enum operation_type {
    OPERATION_UPSERT = 1,
    OPERATION_DELETE = 2,
    OPERATION_CREATE_COLLECTION = 3, /* document = encoded schema, id = name */
    OPERATION_DROP_COLLECTION = 4,
    OPERATION_RENAME_COLLECTION = 5 /* id = new name */
};

struct operation { /* 32 bytes, then id, document, vectors; each padded to 8 */
    uint64_t size; /* Of all of it, a multiple of 8. */
    uint8_t type;
    uint8_t id_is_text;
    uint16_t vector_count;
    uint32_t collection;
    uint32_t id_size;
    uint32_t document_size;
    uint64_t id_number;
};

struct operation_vector { /* 8 bytes, then the vector's bytes, padded to 8 */
    uint32_t field;
    uint32_t size;
};

#define FORMAT_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
FORMAT_SIZE(block_ref, 16);
FORMAT_SIZE(superblock_root, 512);
FORMAT_SIZE(slot, 48);
FORMAT_SIZE(node, 16);
FORMAT_SIZE(slot_link, 12);
FORMAT_SIZE(heap_chunk, 8);
FORMAT_SIZE(id_bucket, 64);
FORMAT_SIZE(wal_segment_header, 80);
FORMAT_SIZE(wal_frame_header, 72);
FORMAT_SIZE(batch_header, 24);
FORMAT_SIZE(operation, 32);
FORMAT_SIZE(operation_vector, 8);

#endif /* STORE_FORMAT_H */
