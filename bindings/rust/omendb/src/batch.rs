//! Batches over several collections.
use crate::database::Shared;
use crate::ffi::call;
use crate::{Collection, Durability, Id, Result, Rows};
use omendb_sys as sys;
use std::ptr::NonNull;
use std::sync::Arc;

/// Upserts and deletes of any collections, which become visible and durable as one. Rows are copied when
/// they are added and checked then; a failed addition leaves the batch as it was.
///
/// ```
/// # fn main() -> omendb::Result<()> {
/// # use omendb::*;
/// let db = Database::open(":memory:")?;
/// let users = db.create_collection("users", &Schema::new())?;
/// let log = db.create_collection("log", &Schema::new())?;
/// let mut batch = db.batch()?;
/// batch.upsert(&users, &Rows::texts(&["ann"]).json(&[r#"{"age": 30}"#]))?;
/// batch.upsert(&log, &Rows::numbers(&[1]).json(&[r#"{"did": "sign up"}"#]))?;
/// batch.commit(Durability::Default)?;
/// assert_eq!(users.count(None)? + log.count(None)?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Batch {
    raw: NonNull<sys::omendb_batch>,
    _shared: Arc<Shared>,
}

// SAFETY: a batch belongs to one thread at a time, whichever it is.
unsafe impl Send for Batch {}

impl Batch {
    /// # Safety
    /// `raw` is a handle of `shared`'s database that is now ours.
    pub(crate) unsafe fn new(raw: *mut sys::omendb_batch, shared: &Arc<Shared>) -> Self {
        Batch { raw: NonNull::new_unchecked(raw), _shared: Arc::clone(shared) }
    }

    /// Adds rows. `Argument`: a collection of another database, or one that a snapshot or transaction sees.
    pub fn upsert(&mut self, collection: &Collection, rows: &Rows<'_>) -> Result<()> {
        rows.with_c(|rows| {
            call(|err| unsafe {
                sys::omendb_batch_upsert(self.raw.as_ptr(), collection.raw(), rows, err)
            })
        })?
    }

    /// Adds deletions.
    pub fn delete(&mut self, collection: &Collection, ids: &[Id<'_>]) -> Result<()> {
        let ids = Id::list_to_c(ids);
        call(|err| unsafe {
            sys::omendb_batch_delete(
                self.raw.as_ptr(),
                collection.raw(),
                ids.as_ptr(),
                ids.len(),
                err,
            )
        })
    }

    /// Writes and empties it; tells its place in the order of all batches.
    pub fn commit(&mut self, durability: Durability) -> Result<u64> {
        let mut sequence = 0;
        call(|err| unsafe {
            sys::omendb_batch_commit(self.raw.as_ptr(), durability.to_c(), &mut sequence, err)
        })?;
        Ok(sequence)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { sys::omendb_batch_destroy(self.raw.as_ptr()) }
    }
}
