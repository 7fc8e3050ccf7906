// Written by tools/rust_declarations.py from include/omendb.h: change that, and run it.
use std::os::raw::{c_char, c_int, c_void};

pub const OMENDB_VERSION_MAJOR: u32 = 0;
pub const OMENDB_VERSION_MINOR: u32 = 1;
pub const OMENDB_VERSION_PATCH: u32 = 0;
pub const OMENDB_VERSION_STRING: &str = "0.1.0";
pub const OMENDB_DIM_MAX: u32 = 16_384;
pub const OMENDB_ID_SIZE_MAX: u32 = 1_024;
pub const OMENDB_DOCUMENT_SIZE_MAX: u32 = 16_777_216;
pub const OMENDB_DEPTH_MAX: u32 = 64;
pub const OMENDB_NAME_SIZE_MAX: u32 = 128;
pub const OMENDB_VECTOR_FIELDS_MAX: u32 = 16;
pub const OMENDB_COLLECTIONS_MAX: u32 = 1_024;
pub const OMENDB_BATCH_SIZE_MAX: u32 = 268_435_456;
pub const OMENDB_K_MAX: u32 = 10_000;
pub const OMENDB_EF_MAX: u32 = 8_192;
pub const OMENDB_INDEX_THREADS_MAX: u32 = 64;
pub const OMENDB_SNAPSHOTS_MAX: u32 = 1_024;
pub const OMENDB_VERSION_ANY: u64 = u64::MAX;
pub const OMENDB_VERSION_OWN: u64 = u64::MAX - 1;

pub type omendb_status = i32;
pub const OMENDB_OK: omendb_status = 0;
pub const OMENDB_ERR_NOMEM: omendb_status = -1;
pub const OMENDB_ERR_IO: omendb_status = -2;
pub const OMENDB_ERR_CORRUPT: omendb_status = -3;
pub const OMENDB_ERR_ARGUMENT: omendb_status = -4;
pub const OMENDB_ERR_BUSY: omendb_status = -5;
pub const OMENDB_ERR_FULL: omendb_status = -6;
pub const OMENDB_ERR_INTERNAL: omendb_status = -7;
pub const OMENDB_ERR_NOT_FOUND: omendb_status = -8;
pub const OMENDB_ERR_EXISTS: omendb_status = -9;
pub const OMENDB_ERR_DIMENSION: omendb_status = -10;
pub const OMENDB_ERR_VALUE: omendb_status = -11;
pub const OMENDB_ERR_READ_ONLY: omendb_status = -12;
pub const OMENDB_ERR_MISUSE: omendb_status = -13;
pub const OMENDB_ERR_UNSUPPORTED: omendb_status = -14;
pub const OMENDB_ERR_INTERRUPTED: omendb_status = -15;
pub const OMENDB_ERR_TIMEOUT: omendb_status = -16;
pub const OMENDB_ERR_CONFLICT: omendb_status = -17;

pub type omendb_type = u32;
pub const OMENDB_F32: omendb_type = 0;
pub const OMENDB_F16: omendb_type = 1;
pub const OMENDB_BF16: omendb_type = 2;
pub const OMENDB_I8: omendb_type = 3;
pub const OMENDB_U8: omendb_type = 4;
pub const OMENDB_BIT: omendb_type = 5;
pub const OMENDB_F64: omendb_type = 6;

pub type omendb_metric = u32;
pub const OMENDB_L2: omendb_metric = 0;
pub const OMENDB_COSINE: omendb_metric = 1;
pub const OMENDB_IP: omendb_metric = 2;
pub const OMENDB_HAMMING: omendb_metric = 3;

pub type omendb_durability = u32;
pub const OMENDB_DURABILITY_DEFAULT: omendb_durability = 0;
pub const OMENDB_DURABILITY_FULL: omendb_durability = 1;
pub const OMENDB_DURABILITY_INTERVAL: omendb_durability = 2;
pub const OMENDB_DURABILITY_NONE: omendb_durability = 3;

pub const OMENDB_OPEN_MUST_EXIST: u32 = 1;
pub const OMENDB_OPEN_MUST_NOT_EXIST: u32 = 2;
pub const OMENDB_OPEN_READ_ONLY: u32 = 4;

pub const OMENDB_CHECK_DEEP: u32 = 1;

pub const OMENDB_BACKUP_REPLACE: u32 = 1;

pub type omendb_index = u32;
pub const OMENDB_INDEX_DEFAULT: omendb_index = 0;
pub const OMENDB_INDEX_FAST: omendb_index = 1;
pub const OMENDB_INDEX_COMPACT: omendb_index = 2;
pub const OMENDB_INDEX_EXACT: omendb_index = 3;

pub type omendb_field_type = u32;
pub const OMENDB_FIELD_ANY: omendb_field_type = 0;
pub const OMENDB_FIELD_BOOL: omendb_field_type = 1;
pub const OMENDB_FIELD_INT: omendb_field_type = 2;
pub const OMENDB_FIELD_FLOAT: omendb_field_type = 3;
pub const OMENDB_FIELD_STRING: omendb_field_type = 4;
pub const OMENDB_FIELD_TEXT: omendb_field_type = 5;
pub const OMENDB_FIELD_BYTES: omendb_field_type = 6;
pub const OMENDB_FIELD_ARRAY: omendb_field_type = 7;
pub const OMENDB_FIELD_OBJECT: omendb_field_type = 8;

pub const OMENDB_ROWS_IF_ABSENT: u32 = 1;

pub const OMENDB_WITH_DOCUMENTS: u32 = 1;
pub const OMENDB_WITH_VECTORS: u32 = 2;
pub const OMENDB_EXACT: u32 = 4;

opaque!(omendb);
opaque!(omendb_collection);
opaque!(omendb_batch);
opaque!(omendb_snapshot);
opaque!(omendb_transaction);
opaque!(omendb_hits);
opaque!(omendb_documents);

pub type omendb_backup_progress =
    Option<unsafe extern "C" fn(context: *mut c_void, done: u64, total: u64) -> c_int>;

pub type omendb_index_progress =
    Option<unsafe extern "C" fn(context: *mut c_void, indexed: u64, total: u64) -> c_int>;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_error {
    pub status: omendb_status,
    pub message: [c_char; 252],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_options {
    pub struct_size: u32,
    pub flags: u32,
    pub durability: omendb_durability,
    pub interval_ms: u32,
    pub wal_size_max: u64,
    pub index_threads: u32,
}

impl omendb_options {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        flags: 0,
        durability: 0,
        interval_ms: 0,
        wal_size_max: 0,
        index_threads: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_backup_options {
    pub struct_size: u32,
    pub flags: u32,
    pub base: *const c_char,
    pub progress: omendb_backup_progress,
    pub context: *mut c_void,
}

impl omendb_backup_options {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        flags: 0,
        base: std::ptr::null(),
        progress: None,
        context: std::ptr::null_mut(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_repair_options {
    pub struct_size: u32,
    pub flags: u32,
    pub progress: omendb_backup_progress,
    pub context: *mut c_void,
}

impl omendb_repair_options {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        flags: 0,
        progress: None,
        context: std::ptr::null_mut(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_vector_field {
    pub struct_size: u32,
    pub dim: u32,
    pub name: *const c_char,
    pub type_: omendb_type,
    pub metric: omendb_metric,
    pub index: omendb_index,
    pub reserved: u32,
}

impl omendb_vector_field {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        dim: 0,
        name: std::ptr::null(),
        type_: 0,
        metric: 0,
        index: 0,
        reserved: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_field {
    pub struct_size: u32,
    pub type_: omendb_field_type,
    pub name: *const c_char,
}

impl omendb_field {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        type_: 0,
        name: std::ptr::null(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_schema {
    pub struct_size: u32,
    pub vectors_count: u32,
    pub vectors: *const omendb_vector_field,
    pub fields: *const omendb_field,
    pub fields_count: u32,
}

impl omendb_schema {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        vectors_count: 0,
        vectors: std::ptr::null(),
        fields: std::ptr::null(),
        fields_count: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_id {
    pub text_view: *const c_char,
    pub size: usize,
    pub number: u64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_vectors {
    pub struct_size: u32,
    pub type_: omendb_type,
    pub field: *const c_char,
    pub data: *const c_void,
    pub row_stride: usize,
    pub dim: u32,
    pub reserved: u32,
    pub present: *const u8,
}

impl omendb_vectors {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        type_: 0,
        field: std::ptr::null(),
        data: std::ptr::null(),
        row_stride: 0,
        dim: 0,
        reserved: 0,
        present: std::ptr::null(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_rows {
    pub struct_size: u32,
    pub vectors_count: u32,
    pub count: usize,
    pub ids: *const omendb_id,
    pub id_numbers: *const u64,
    pub id_text: *const c_char,
    pub id_offsets: *const u64,
    pub vectors: *const omendb_vectors,
    pub json: *const c_char,
    pub json_offsets: *const u64,
    pub if_versions: *const u64,
    pub flags: u32,
    pub reserved: u32,
}

impl omendb_rows {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        vectors_count: 0,
        count: 0,
        ids: std::ptr::null(),
        id_numbers: std::ptr::null(),
        id_text: std::ptr::null(),
        id_offsets: std::ptr::null(),
        vectors: std::ptr::null(),
        json: std::ptr::null(),
        json_offsets: std::ptr::null(),
        if_versions: std::ptr::null(),
        flags: 0,
        reserved: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_document {
    pub id: omendb_id,
    pub json_view: *const c_char,
    pub json_size: usize,
    pub found: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_find_params {
    pub struct_size: u32,
    pub flags: u32,
    pub filter: *const c_char,
    pub filter_size: usize,
    pub after: *const omendb_id,
    pub limit: usize,
    pub timeout_ms: u32,
    pub reserved: u32,
}

impl omendb_find_params {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        flags: 0,
        filter: std::ptr::null(),
        filter_size: 0,
        after: std::ptr::null(),
        limit: 0,
        timeout_ms: 0,
        reserved: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_search_params {
    pub struct_size: u32,
    pub flags: u32,
    pub field: *const c_char,
    pub type_: omendb_type,
    pub dim: u32,
    pub queries: *const c_void,
    pub query_count: usize,
    pub row_stride: usize,
    pub k: u32,
    pub offset: u32,
    pub filter: *const c_char,
    pub filter_size: usize,
    pub recall: f32,
    pub ef: u32,
    pub threads: u32,
    pub timeout_ms: u32,
}

impl omendb_search_params {
    /// `struct_size`, and every other member zero: the default.
    pub const INIT: Self = Self {
        struct_size: std::mem::size_of::<Self>() as u32,
        flags: 0,
        field: std::ptr::null(),
        type_: 0,
        dim: 0,
        queries: std::ptr::null(),
        query_count: 0,
        row_stride: 0,
        k: 0,
        offset: 0,
        filter: std::ptr::null(),
        filter_size: 0,
        recall: 0.0,
        ef: 0,
        threads: 0,
        timeout_ms: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct omendb_hit {
    pub document: omendb_document,
    pub distance: f32,
    pub score: f32,
}

extern "C" {
    pub fn omendb_status_name(status: omendb_status) -> *const c_char;
    pub fn omendb_open(
        path: *const c_char,
        options: *const omendb_options,
        out: *mut *mut omendb,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_close(db: *mut omendb, err: *mut omendb_error) -> omendb_status;
    pub fn omendb_sync(db: *mut omendb, err: *mut omendb_error) -> omendb_status;
    pub fn omendb_refresh(db: *mut omendb, err: *mut omendb_error) -> omendb_status;
    pub fn omendb_interrupt(db: *mut omendb);
    pub fn omendb_stats(
        db: *mut omendb,
        out: *mut *mut c_char,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_check(
        db: *mut omendb,
        flags: u32,
        out: *mut *mut c_char,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_text_destroy(text: *mut c_char);
    pub fn omendb_backup(
        db: *mut omendb,
        path: *const c_char,
        options: *const omendb_backup_options,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_restore(
        paths: *const *const c_char,
        count: usize,
        path: *const c_char,
        options: *const omendb_backup_options,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_repair(
        path: *const c_char,
        out_path: *const c_char,
        options: *const omendb_repair_options,
        report: *mut *mut c_char,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_create(
        db: *mut omendb,
        name: *const c_char,
        schema: *const omendb_schema,
        out: *mut *mut omendb_collection,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_open(
        db: *mut omendb,
        name: *const c_char,
        out: *mut *mut omendb_collection,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_close(collection: *mut omendb_collection);
    pub fn omendb_collection_drop(
        db: *mut omendb,
        name: *const c_char,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_rename(
        db: *mut omendb,
        name: *const c_char,
        new_name: *const c_char,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_list(
        db: *mut omendb,
        out: *mut *mut c_char,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_describe(
        collection: *mut omendb_collection,
        out: *mut *mut c_char,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_set_index(
        collection: *mut omendb_collection,
        field: *const c_char,
        index: omendb_index,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_wait_indexed(
        collection: *mut omendb_collection,
        timeout_ms: u32,
        progress: omendb_index_progress,
        context: *mut c_void,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_upsert(
        collection: *mut omendb_collection,
        rows: *const omendb_rows,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_delete(
        collection: *mut omendb_collection,
        ids: *const omendb_id,
        count: usize,
        deleted: *mut u64,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_delete_if_version(
        collection: *mut omendb_collection,
        ids: *const omendb_id,
        versions: *const u64,
        count: usize,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_delete_where(
        collection: *mut omendb_collection,
        filter: *const c_char,
        filter_size: usize,
        deleted: *mut u64,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_batch_create(
        db: *mut omendb,
        out: *mut *mut omendb_batch,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_batch_upsert(
        batch: *mut omendb_batch,
        collection: *mut omendb_collection,
        rows: *const omendb_rows,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_batch_delete(
        batch: *mut omendb_batch,
        collection: *mut omendb_collection,
        ids: *const omendb_id,
        count: usize,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_batch_commit(
        batch: *mut omendb_batch,
        durability: omendb_durability,
        sequence: *mut u64,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_batch_destroy(batch: *mut omendb_batch);
    pub fn omendb_snapshot_create(
        db: *mut omendb,
        out: *mut *mut omendb_snapshot,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_snapshot_sequence(snapshot: *const omendb_snapshot) -> u64;
    pub fn omendb_snapshot_collection(
        snapshot: *mut omendb_snapshot,
        collection: *mut omendb_collection,
        out: *mut *mut omendb_collection,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_snapshot_destroy(snapshot: *mut omendb_snapshot);
    pub fn omendb_transaction_begin(
        db: *mut omendb,
        out: *mut *mut omendb_transaction,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_transaction_sequence(transaction: *const omendb_transaction) -> u64;
    pub fn omendb_transaction_collection(
        transaction: *mut omendb_transaction,
        collection: *mut omendb_collection,
        out: *mut *mut omendb_collection,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_transaction_commit(
        transaction: *mut omendb_transaction,
        durability: omendb_durability,
        sequence: *mut u64,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_transaction_rollback(transaction: *mut omendb_transaction);
    pub fn omendb_transaction_destroy(transaction: *mut omendb_transaction);
    pub fn omendb_collection_get(
        collection: *mut omendb_collection,
        ids: *const omendb_id,
        count: usize,
        flags: u32,
        out: *mut *mut omendb_documents,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_find(
        collection: *mut omendb_collection,
        params: *const omendb_find_params,
        out: *mut *mut omendb_documents,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_collection_count(
        collection: *mut omendb_collection,
        filter: *const c_char,
        filter_size: usize,
        out: *mut u64,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_documents_count(documents: *const omendb_documents) -> usize;
    pub fn omendb_documents_entry(
        documents: *const omendb_documents,
        index: usize,
        out: *mut omendb_document,
    );
    pub fn omendb_documents_vector(
        documents: *const omendb_documents,
        index: usize,
        field: *const c_char,
        type_: *mut omendb_type,
        dim: *mut u32,
    ) -> *const c_void;
    pub fn omendb_documents_version(documents: *const omendb_documents, index: usize) -> u64;
    pub fn omendb_documents_destroy(documents: *mut omendb_documents);
    pub fn omendb_collection_search(
        collection: *mut omendb_collection,
        params: *const omendb_search_params,
        out: *mut *mut omendb_hits,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_hits_query_count(hits: *const omendb_hits) -> usize;
    pub fn omendb_hits_count(hits: *const omendb_hits, query: usize) -> usize;
    pub fn omendb_hits_entry(
        hits: *const omendb_hits,
        query: usize,
        index: usize,
        out: *mut omendb_hit,
    );
    pub fn omendb_hits_distances(hits: *const omendb_hits) -> *const f32;
    pub fn omendb_hits_scores(hits: *const omendb_hits) -> *const f32;
    pub fn omendb_hits_k(hits: *const omendb_hits) -> u32;
    pub fn omendb_hits_documents(hits: *const omendb_hits, query: usize) -> *const omendb_documents;
    pub fn omendb_hits_explain(hits: *const omendb_hits) -> *const c_char;
    pub fn omendb_hits_destroy(hits: *mut omendb_hits);
    pub fn omendb_search_vectors(
        collection: *mut omendb_collection,
        params: *const omendb_search_params,
        ids: *mut u64,
        scores: *mut f32,
        found: *mut u32,
        err: *mut omendb_error,
    ) -> omendb_status;
    pub fn omendb_init(dimension: c_int) -> c_int;
    pub fn omendb_add(
        id_ptr: *const c_char,
        id_len: c_int,
        vector_ptr: *const f32,
        dimension: c_int,
    ) -> c_int;
    pub fn omendb_search(
        query_ptr: *const f32,
        k: c_int,
        result_ids: *mut c_int,
        result_distances: *mut f32,
    ) -> c_int;
    pub fn omendb_clear() -> c_int;
    pub fn omendb_count() -> c_int;
    pub fn omendb_version() -> *const c_char;
}
