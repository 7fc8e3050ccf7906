//! OmenDB: an embedded database for documents that hold vectors and structured fields, in one
//! crash-safe file, searched by nearest neighbour with filters. No server, nothing to tune.
//!
//! ```
//! use omendb::{Database, Metric, Rows, Schema, Search, VectorField, Vectors, With};
//!
//! # fn main() -> omendb::Result<()> {
//! let db = Database::open(":memory:")?; // or a path
//! let schema = Schema::new().vector(VectorField::new("v", 3).metric(Metric::Cosine));
//! let notes = db.create_collection("notes", &schema)?;
//! notes.upsert(
//!     &Rows::texts(&["a", "b"])
//!         .vectors(Vectors::new(&[1.0f32, 0.0, 0.0, 0.0, 1.0, 0.0], 3))
//!         .json(&[r#"{"title": "first", "year": 2021}"#, r#"{"title": "second", "year": 2019}"#]),
//! )?;
//! let query = [1.0, 0.1, 0.0];
//! let search = Search::new(&query).k(5).filter(r#"{"year": {"$gte": 2020}}"#).with(With::Documents);
//! for hit in notes.search(&search)?.query(0) {
//!     println!("{:?} {} {}", hit.id(), hit.score(), hit.json().unwrap_or("{}"));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Ownership
//!
//! A [`Database`] stays open as long as anything that was made of it: collections, batches, snapshots and
//! transactions hold it, in whatever order they end. [`Database::close`] tells whether the final
//! state was written; dropping does the same in silence. Results ([`Documents`], [`Hits`]) stand on
//! their own and outlive the database.
//!
//! # Threads
//!
//! [`Database`], [`Collection`], [`Snapshot`] and [`Transaction`] are `Send` and `Sync`: readers run side
//! by side and never wait for writers; calls on a transaction take turns. [`Batch`], [`Documents`]
//! and [`Hits`] are `Send`.
//!
//! # JSON and errors
//!
//! Documents, filters and reports are JSON texts; bring the parser that you like. Every failure is an
//! [`Error`] with a message to act on. Limits are the constants of this crate's root.
#![deny(missing_docs)]

mod batch;
mod collection;
mod database;
mod error;
mod ffi;
mod id;
mod result;
mod rows;
mod schema;
mod search;
mod view;

pub use batch::Batch;
pub use collection::Collection;
pub use database::{repair, restore, Backup, Database, Durability, Options, Progress};
pub use error::{Error, Result};
pub use id::Id;
pub use result::{Document, Documents, Hit, Hits, Vector};
pub use rows::{Element, Rows, Vectors};
pub use schema::{FieldType, Index, Metric, Schema, VectorField, VectorType};
pub use search::{Find, Search, With};
pub use view::{Snapshot, Transaction};

/// Components of a vector; bits of one of [`VectorType::Bit`].
pub const DIM_MAX: u32 = omendb_sys::OMENDB_DIM_MAX;
/// Bytes of an id that is a text.
pub const ID_SIZE_MAX: u32 = omendb_sys::OMENDB_ID_SIZE_MAX;
/// Bytes of a document's JSON.
pub const DOCUMENT_SIZE_MAX: u32 = omendb_sys::OMENDB_DOCUMENT_SIZE_MAX;
/// Hits of one query, offset included.
pub const K_MAX: u32 = omendb_sys::OMENDB_K_MAX;
/// As a condition of a row: none.
pub const VERSION_ANY: u64 = omendb_sys::OMENDB_VERSION_ANY;
/// The version of a document that was written by the transaction that reads it.
pub const VERSION_OWN: u64 = omendb_sys::OMENDB_VERSION_OWN;

/// The version of the library that this program is linked to: `"0.1.0"`.
pub fn version() -> &'static str {
    // SAFETY: a constant text, NUL-terminated.
    unsafe { ffi::text(omendb_sys::omendb_version()) }
}
