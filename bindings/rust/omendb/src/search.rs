//! What to look for.
use crate::ffi::{c_string, pointer_of};
use crate::{Error, Id, Result, Vectors};
use omendb_sys as sys;
use std::time::Duration;

/// What a result holds beside ids, versions and scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum With {
    /// Nothing else: the cheapest.
    Nothing,
    /// JSON.
    Documents,
    /// Vectors.
    Vectors,
    /// JSON and vectors.
    Everything,
}

impl With {
    pub(crate) fn flags(self) -> u32 {
        match self {
            With::Nothing => 0,
            With::Documents => sys::OMENDB_WITH_DOCUMENTS,
            With::Vectors => sys::OMENDB_WITH_VECTORS,
            With::Everything => sys::OMENDB_WITH_DOCUMENTS | sys::OMENDB_WITH_VECTORS,
        }
    }
}

/// Whole milliseconds, at least one: 0 is none to the library.
pub(crate) fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// (pointer, size) of an optional text.
pub(crate) fn filter_parts(filter: Option<&str>) -> (*const std::os::raw::c_char, usize) {
    filter.map_or((std::ptr::null(), 0), |text| (text.as_ptr().cast(), text.len()))
}

/// A search for the nearest documents: 10 of them for each query unless told otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    queries: Vectors<'a>,
    filter: Option<&'a str>,
    parameters: sys::omendb_search_params,
}

// SAFETY: the pointers in `parameters` are NULL until a call fills in a copy.
unsafe impl Send for Search<'_> {}
unsafe impl Sync for Search<'_> {}

impl<'a> Search<'a> {
    /// One query of numbers.
    pub fn new(query: &'a [f32]) -> Self {
        // A longer one is no dimension that a field can have.
        Search::many(Vectors::new(query, u32::try_from(query.len()).unwrap_or(u32::MAX)))
    }

    /// One or several queries of any type that converts to the field's; its field is the one searched.
    pub fn many(queries: Vectors<'a>) -> Self {
        Search { queries, filter: None, parameters: sys::omendb_search_params::INIT }
    }

    /// The vector field to search; needed where the collection has several.
    pub fn field(mut self, name: &'a str) -> Self {
        self.queries = self.queries.field(name);
        self
    }

    /// Hits wanted for each query, 1 to [`K_MAX`](crate::K_MAX).
    pub fn k(mut self, k: u32) -> Self {
        self.parameters.k = k;
        self
    }

    /// Leaves out that many of the best: paging.
    pub fn offset(mut self, offset: u32) -> Self {
        self.parameters.offset = offset;
        self
    }

    /// Only documents that match it: Mongo-style JSON.
    pub fn filter(mut self, filter: &'a str) -> Self {
        self.filter = Some(filter);
        self
    }

    /// What the hits hold.
    pub fn with(mut self, with: With) -> Self {
        let kept = self.parameters.flags & sys::OMENDB_EXACT;
        self.parameters.flags = kept | with.flags();
        self
    }

    /// Brute force's answer, whatever index there is.
    pub fn exact(mut self) -> Self {
        self.parameters.flags |= sys::OMENDB_EXACT;
        self
    }

    /// The wanted part of the true hits, above 0, at most 1 (exact); .95 by default.
    pub fn recall(mut self, recall: f32) -> Self {
        self.parameters.recall = recall;
        self
    }

    /// The beam width of the graph, instead of a recall.
    pub fn ef(mut self, ef: u32) -> Self {
        self.parameters.ef = ef;
        self
    }

    /// For several queries or a large scan; 1 by default.
    pub fn threads(mut self, threads: u32) -> Self {
        self.parameters.threads = threads;
        self
    }

    /// `Timeout` after that time.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.parameters.timeout_ms = milliseconds(time);
        self
    }

    /// How many results a query has at most.
    fn columns(&self) -> u32 {
        if self.parameters.k == 0 {
            10
        } else {
            self.parameters.k
        }
    }

    /// ARGUMENT unless results of these lengths fit: [queries][k], [queries][k], [queries].
    pub(crate) fn check_lengths(&self, ids: usize, scores: usize, found: usize) -> Result<()> {
        let queries = self.queries.rows()?;
        let wanted = queries.checked_mul(self.columns() as usize);
        if wanted == Some(ids) && wanted == Some(scores) && found == queries {
            return Ok(());
        }
        Err(Error::Argument(format!(
            "{} queries of {} hits don't fit {} ids, {} scores and {} counts",
            queries,
            self.columns(),
            ids,
            scores,
            found
        )))
    }

    pub(crate) fn with_c<T>(
        &self,
        use_it: impl FnOnce(*const sys::omendb_search_params) -> T,
    ) -> Result<T> {
        let name = self.queries.name().map(c_string).transpose()?;
        let (queries, type_, dim) = self.queries.parts();
        let (filter, filter_size) = filter_parts(self.filter);
        let parameters = sys::omendb_search_params {
            field: pointer_of(&name),
            type_,
            dim,
            queries,
            query_count: self.queries.rows()?,
            filter,
            filter_size,
            ..self.parameters
        };
        Ok(use_it(&parameters))
    }
}

/// Documents that match a filter, or all, in the order of ids: 100 of them unless told otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Find<'a> {
    filter: Option<&'a str>,
    after: Option<Id<'a>>,
    flags: u32,
    limit: usize,
    timeout_ms: u32,
}

impl<'a> Find<'a> {
    /// All documents.
    pub fn new() -> Self {
        Find::default()
    }

    /// Only those that match it: Mongo-style JSON.
    pub fn filter(mut self, filter: &'a str) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Begins behind this id: the last one of the page before.
    pub fn after(mut self, id: impl Into<Id<'a>>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// What the documents hold.
    pub fn with(mut self, with: With) -> Self {
        self.flags = with.flags();
        self
    }

    /// At most this many.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// `Timeout` after that time.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout_ms = milliseconds(time);
        self
    }

    pub(crate) fn with_c<T>(&self, use_it: impl FnOnce(*const sys::omendb_find_params) -> T) -> T {
        let after = self.after.map(Id::to_c);
        let (filter, filter_size) = filter_parts(self.filter);
        use_it(&sys::omendb_find_params {
            flags: self.flags,
            filter,
            filter_size,
            after: after.as_ref().map_or(std::ptr::null(), |id| id),
            limit: self.limit,
            timeout_ms: self.timeout_ms,
            ..sys::omendb_find_params::INIT
        })
    }
}
