//! The C interface as it is, from Rust: what the safe crate `omendb` spares you. Prints the nearest of
//! three points.
use omendb_sys::*;
use std::ffi::CStr;
use std::mem::zeroed;
use std::ptr::null_mut;

fn check(status: omendb_status, err: &omendb_error) {
    if status != OMENDB_OK {
        // SAFETY: the message of an error is NUL-terminated.
        let message = unsafe { CStr::from_ptr(err.message.as_ptr()) };
        panic!("{}", message.to_string_lossy());
    }
}

fn main() {
    let points = [0.0f32, 0.0, 1.0, 0.0, 5.0, 5.0];
    let query = [0.9f32, 0.0];
    let numbers = [1u64, 2, 3];
    let (mut id, mut score, mut found) = (0u64, 0f32, 0u32);

    // SAFETY: every pointer lives during its call, lengths are those of the arrays, and each handle
    // is closed once, the database last.
    unsafe {
        let mut err: omendb_error = zeroed();
        let mut db = null_mut();
        let mut docs = null_mut();
        check(
            omendb_open(b":memory:\0".as_ptr().cast(), &omendb_options::INIT, &mut db, &mut err),
            &err,
        );

        let field = omendb_vector_field {
            dim: 2,
            name: b"v\0".as_ptr().cast(),
            ..omendb_vector_field::INIT
        };
        let schema = omendb_schema { vectors_count: 1, vectors: &field, ..omendb_schema::INIT };
        let name = b"docs\0".as_ptr().cast();
        check(omendb_collection_create(db, name, &schema, &mut docs, &mut err), &err);

        let column =
            omendb_vectors { data: points.as_ptr().cast(), dim: 2, ..omendb_vectors::INIT };
        let rows = omendb_rows {
            count: numbers.len(),
            id_numbers: numbers.as_ptr(),
            vectors_count: 1,
            vectors: &column,
            ..omendb_rows::INIT
        };
        check(omendb_collection_upsert(docs, &rows, &mut err), &err);

        let near = omendb_search_params {
            queries: query.as_ptr().cast(),
            query_count: 1,
            dim: 2,
            k: 1,
            ..omendb_search_params::INIT
        };
        let status = omendb_search_vectors(docs, &near, &mut id, &mut score, &mut found, &mut err);
        check(status, &err);
        omendb_collection_close(docs);
        check(omendb_close(db, &mut err), &err);
    }
    println!("nearest: document {}, score {:.2}", id, score);
    assert_eq!((id, found), (2, 1));
}
