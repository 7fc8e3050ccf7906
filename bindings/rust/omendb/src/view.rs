//! Other moments: snapshots and transactions.
use crate::database::Shared;
use crate::ffi::{call, call_for};
use crate::{Collection, Durability, Result};
use omendb_sys as sys;
use std::ptr::NonNull;
use std::sync::Arc;

/// The documents of all collections as they were at one moment, for as long as it is kept.
///
/// ```
/// # fn main() -> omendb::Result<()> {
/// # use omendb::*;
/// let db = Database::open(":memory:")?;
/// let notes = db.create_collection("notes", &Schema::new())?;
/// let before = db.snapshot()?;
/// notes.upsert_json("a", "{}")?;
/// assert_eq!(before.collection(&notes)?.count(None)?, 0);
/// assert_eq!(notes.count(None)?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Snapshot {
    raw: NonNull<sys::omendb_snapshot>,
    shared: Arc<Shared>,
}

// SAFETY: the library lets any number of threads use a snapshot at once.
unsafe impl Send for Snapshot {}
unsafe impl Sync for Snapshot {}

impl Snapshot {
    /// # Safety
    /// `raw` is a handle of `shared`'s database that is now ours.
    pub(crate) unsafe fn new(raw: *mut sys::omendb_snapshot, shared: &Arc<Shared>) -> Self {
        Snapshot { raw: NonNull::new_unchecked(raw), shared: Arc::clone(shared) }
    }

    /// The newest batch that it shows, in the order of all batches.
    pub fn sequence(&self) -> u64 {
        // SAFETY: it is open.
        unsafe { sys::omendb_snapshot_sequence(self.raw.as_ptr()) }
    }

    /// The collection as it was, to be read. It answers `Misuse` when the snapshot has ended.
    pub fn collection(&self, collection: &Collection) -> Result<Collection> {
        let raw = call_for(|out, err| unsafe {
            sys::omendb_snapshot_collection(self.raw.as_ptr(), collection.raw(), out, err)
        })?;
        // SAFETY: the library refuses a collection of another database.
        Ok(unsafe { Collection::new(raw, &self.shared) })
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { sys::omendb_snapshot_destroy(self.raw.as_ptr()) }
    }
}

/// Reads and writes of any collections that become visible and durable as one, or not at all. It reads
/// the moment of its beginning and what it has written itself; of two that write the same document the
/// first to commit wins, and the other gets `Conflict`.
///
/// ```
/// # fn main() -> omendb::Result<()> {
/// # use omendb::*;
/// let db = Database::open(":memory:")?;
/// let accounts = db.create_collection("accounts", &Schema::new())?;
/// let transaction = db.transaction()?;
/// let seen = transaction.collection(&accounts)?;
/// seen.upsert_json("ann", r#"{"balance": 5}"#)?;
/// assert_eq!((seen.count(None)?, accounts.count(None)?), (1, 0));
/// transaction.commit(Durability::Default)?;
/// assert_eq!(accounts.count(None)?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Transaction {
    raw: NonNull<sys::omendb_transaction>,
    shared: Arc<Shared>,
}

// SAFETY: calls on a transaction take turns, from whatever thread they come.
unsafe impl Send for Transaction {}
unsafe impl Sync for Transaction {}

impl Transaction {
    /// # Safety
    /// `raw` is a handle of `shared`'s database that is now ours.
    pub(crate) unsafe fn new(raw: *mut sys::omendb_transaction, shared: &Arc<Shared>) -> Self {
        Transaction { raw: NonNull::new_unchecked(raw), shared: Arc::clone(shared) }
    }

    /// The newest batch of others that it sees.
    pub fn sequence(&self) -> u64 {
        // SAFETY: it is open.
        unsafe { sys::omendb_transaction_sequence(self.raw.as_ptr()) }
    }

    /// The collection as it sees it, to be read and written; it answers `Misuse` when the transaction
    /// has ended.
    pub fn collection(&self, collection: &Collection) -> Result<Collection> {
        let raw = call_for(|out, err| unsafe {
            sys::omendb_transaction_collection(self.raw.as_ptr(), collection.raw(), out, err)
        })?;
        // SAFETY: the library refuses a collection of another database.
        Ok(unsafe { Collection::new(raw, &self.shared) })
    }

    /// Commits and ends it; tells its place in the order of all batches. After an error it is open
    /// still: try again, or after `Conflict` drop it and begin anew. Once it has ended: `Misuse`.
    pub fn commit(&self, durability: Durability) -> Result<u64> {
        let mut sequence = 0;
        call(|err| unsafe {
            sys::omendb_transaction_commit(self.raw.as_ptr(), durability.to_c(), &mut sequence, err)
        })?;
        Ok(sequence)
    }

    /// Forgets all that it has written, as dropping it does.
    pub fn rollback(self) {}
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { sys::omendb_transaction_destroy(self.raw.as_ptr()) }
    }
}
