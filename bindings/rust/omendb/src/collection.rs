//! Collections: writing, reading, searching.
use crate::database::Shared;
use crate::ffi::{c_string, call, call_for, call_for_text, pointer_of, Observer};
use crate::search::{filter_parts, milliseconds};
use crate::Error;
use crate::{Documents, Find, Hits, Id, Index, Progress, Result, Rows, Search, With};
use omendb_sys as sys;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// A collection of documents, as it is now, or as a [`Snapshot`](crate::Snapshot) or a
/// [`Transaction`](crate::Transaction) sees it.
///
/// ```
/// # fn main() -> omendb::Result<()> {
/// # use omendb::*;
/// let db = Database::open(":memory:")?;
/// let points = db.create_collection("points", &Schema::new().vector(VectorField::new("at", 2)))?;
/// points.upsert(&Rows::numbers(&[1, 2, 3]).vectors(Vectors::new(&[0.0f32, 0.0, 1.0, 0.0, 5.0, 5.0], 2)))?;
/// let near = points.search(&Search::new(&[0.9, 0.0]).k(2))?;
/// let ids: Vec<Id> = near.query(0).map(|hit| hit.id()).collect();
/// assert_eq!(ids, [Id::Number(2), Id::Number(1)]);
/// assert_eq!(points.delete(&[1.into(), 9.into()])?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Collection {
    raw: NonNull<sys::omendb_collection>,
    /// Closed after the collection.
    _shared: Arc<Shared>,
}

// SAFETY: the library lets any number of threads use a collection at once.
unsafe impl Send for Collection {}
unsafe impl Sync for Collection {}

impl Collection {
    /// # Safety
    /// `raw` is a handle of `shared`'s database that is now ours.
    pub(crate) unsafe fn new(raw: *mut sys::omendb_collection, shared: &Arc<Shared>) -> Self {
        Collection { raw: NonNull::new_unchecked(raw), _shared: Arc::clone(shared) }
    }

    /// Every unsafe block below gives it to the library, with pointers that live during the call.
    pub(crate) fn raw(&self) -> *mut sys::omendb_collection {
        self.raw.as_ptr()
    }

    /// Its name, fields and count, as a JSON object.
    pub fn describe(&self) -> Result<String> {
        call_for_text(|out, err| unsafe { sys::omendb_collection_describe(self.raw(), out, err) })
    }

    /// Inserts or replaces documents, all or none, and waits until they are durable at the database's
    /// level. Of an id that comes twice the later row wins.
    pub fn upsert(&self, rows: &Rows<'_>) -> Result<()> {
        rows.with_c(|rows| {
            call(|err| unsafe { sys::omendb_collection_upsert(self.raw(), rows, err) })
        })?
    }

    /// Inserts or replaces one document without vectors.
    pub fn upsert_json<'a>(&self, id: impl Into<Id<'a>>, json: &str) -> Result<()> {
        self.upsert(&Rows::ids(&[id.into()]).json(&[json]))
    }

    /// Deletes by id, all in one batch; tells how many there were.
    pub fn delete(&self, ids: &[Id<'_>]) -> Result<u64> {
        let ids = Id::list_to_c(ids);
        let mut deleted = 0;
        call(|err| unsafe {
            sys::omendb_collection_delete(self.raw(), ids.as_ptr(), ids.len(), &mut deleted, err)
        })?;
        Ok(deleted)
    }

    /// Deletes documents that still have the versions given, all or none: `Conflict`.
    pub fn delete_if_version(&self, ids: &[Id<'_>], versions: &[u64]) -> Result<()> {
        if ids.len() != versions.len() {
            return Err(Error::Argument(format!(
                "{} ids, but {} versions",
                ids.len(),
                versions.len()
            )));
        }
        let ids = Id::list_to_c(ids);
        call(|err| unsafe {
            sys::omendb_collection_delete_if_version(
                self.raw(),
                ids.as_ptr(),
                versions.as_ptr(),
                ids.len(),
                err,
            )
        })
    }

    /// Deletes every document that matches the filter (`{}`: all), in one batch; tells how many.
    pub fn delete_where(&self, filter: &str) -> Result<u64> {
        let (filter, size) = filter_parts(Some(filter));
        let mut deleted = 0;
        call(|err| unsafe {
            sys::omendb_collection_delete_where(self.raw(), filter, size, &mut deleted, err)
        })?;
        Ok(deleted)
    }

    /// Documents by id, one entry for each: see [`Document::is_found`](crate::Document::is_found).
    pub fn get(&self, ids: &[Id<'_>], with: With) -> Result<Documents> {
        let ids = Id::list_to_c(ids);
        call_for(|out, err| unsafe {
            sys::omendb_collection_get(self.raw(), ids.as_ptr(), ids.len(), with.flags(), out, err)
        })
        .map(|raw| unsafe { Documents::new(raw) })
    }

    /// One document's JSON, or `None` if there is no such document.
    pub fn get_json<'a>(&self, id: impl Into<Id<'a>>) -> Result<Option<String>> {
        let documents = self.get(&[id.into()], With::Documents)?;
        Ok(documents.get(0).and_then(|document| document.json()).map(str::to_string))
    }

    /// Documents that match a filter, in the order of ids.
    pub fn find(&self, find: &Find<'_>) -> Result<Documents> {
        let raw = find.with_c(|find| {
            call_for(|out, err| unsafe { sys::omendb_collection_find(self.raw(), find, out, err) })
        })?;
        Ok(unsafe { Documents::new(raw) })
    }

    /// How many documents match; without a filter, how many there are, in constant time.
    pub fn count(&self, filter: Option<&str>) -> Result<u64> {
        let (filter, size) = filter_parts(filter);
        let mut count = 0;
        call(|err| unsafe {
            sys::omendb_collection_count(self.raw(), filter, size, &mut count, err)
        })?;
        Ok(count)
    }

    /// The nearest documents of each query among those that match the filter.
    pub fn search(&self, search: &Search<'_>) -> Result<Hits> {
        let raw = search.with_c(|search| {
            call_for(|out, err| unsafe {
                sys::omendb_collection_search(self.raw(), search, out, err)
            })
        })??;
        Ok(unsafe { Hits::new(raw) })
    }

    /// The fast path for collections whose ids are numbers: no result is made, and nothing allocated in
    /// the steady state but the field's name. `ids`, `scores`: `[queries][k]`; `found`: `[queries]`.
    pub fn search_into(
        &self,
        search: &Search<'_>,
        ids: &mut [u64],
        scores: &mut [f32],
        found: &mut [u32],
    ) -> Result<()> {
        search.check_lengths(ids.len(), scores.len(), found.len())?;
        search.with_c(|search| {
            call(|err| unsafe {
                sys::omendb_search_vectors(
                    self.raw(),
                    search,
                    ids.as_mut_ptr(),
                    scores.as_mut_ptr(),
                    found.as_mut_ptr(),
                    err,
                )
            })
        })?
    }

    /// Searches the field (`None`: the only one) in another way from now on; durable when it returns.
    pub fn set_index(&self, field: Option<&str>, index: Index) -> Result<()> {
        let field = field.map(c_string).transpose()?;
        call(|err| unsafe {
            sys::omendb_collection_set_index(self.raw(), pointer_of(&field), index.to_c(), err)
        })
    }

    /// Waits until graphs have taken in all vectors, which no answer needs to be right: it tells when
    /// searches have become as fast as they will. `progress` gets (indexed, total).
    pub fn wait_indexed(
        &self,
        timeout: Option<Duration>,
        progress: Option<Progress<'_>>,
    ) -> Result<()> {
        let mut observer = Observer::new(progress);
        let (callback, context) = (observer.callback(), observer.context());
        let result = call(|err| unsafe {
            let timeout_ms = timeout.map_or(0, milliseconds);
            sys::omendb_collection_wait_indexed(self.raw(), timeout_ms, callback, context, err)
        });
        observer.finish();
        result
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody borrows it.
        unsafe { sys::omendb_collection_close(self.raw()) }
    }
}
