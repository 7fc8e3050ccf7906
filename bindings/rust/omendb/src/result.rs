//! What reading gives: copies of ids, JSON and vectors, which outlive their collection.
use crate::ffi::{c_string, pointer_of, utf8};
use crate::{Id, VectorType};
use omendb_sys as sys;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::slice;

/// The documents of a get, in the order of its ids, or of a find, in the order of theirs.
#[derive(Debug)]
pub struct Documents(NonNull<sys::omendb_documents>);

// SAFETY: a result belongs to one thread at a time, whichever it is.
unsafe impl Send for Documents {}

impl Documents {
    /// # Safety
    /// `raw` is a result that is now ours.
    pub(crate) unsafe fn new(raw: *mut sys::omendb_documents) -> Self {
        Documents(NonNull::new_unchecked(raw))
    }

    /// How many there are; of a get, those that weren't found included.
    pub fn len(&self) -> usize {
        // SAFETY: it is open.
        unsafe { sys::omendb_documents_count(self.0.as_ptr()) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `index`, from 0.
    pub fn get(&self, index: usize) -> Option<Document<'_>> {
        // SAFETY: it lives as long as `self`.
        (index < self.len()).then(|| unsafe { Document::new(self.0.as_ptr(), index) })
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Document<'_>> + '_ {
        // SAFETY: as above.
        (0..self.len()).map(move |index| unsafe { Document::new(self.0.as_ptr(), index) })
    }
}

impl Drop for Documents {
    fn drop(&mut self) {
        // SAFETY: it is ours, and what was borrowed from it has ended.
        unsafe { sys::omendb_documents_destroy(self.0.as_ptr()) }
    }
}

/// A document of a result.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    owner: *const sys::omendb_documents,
    index: usize,
    lifetime: PhantomData<&'a Documents>,
}

impl<'a> Document<'a> {
    /// # Safety
    /// `owner` lives for `'a` and has an entry `index`.
    unsafe fn new(owner: *const sys::omendb_documents, index: usize) -> Self {
        Document { owner, index, lifetime: PhantomData }
    }

    fn entry(&self) -> sys::omendb_document {
        let mut entry = MaybeUninit::uninit();
        // SAFETY: the owner lives, and the call writes all of it.
        unsafe {
            sys::omendb_documents_entry(self.owner, self.index, entry.as_mut_ptr());
            entry.assume_init()
        }
    }

    /// Its id; of a get, the one that was asked for.
    pub fn id(&self) -> Id<'a> {
        // SAFETY: the text lives as long as the owner.
        unsafe { Id::from_c(&self.entry().id) }
    }

    /// Whether there is such a document: always so in a find or a search.
    pub fn is_found(&self) -> bool {
        self.entry().found != 0
    }

    /// Its JSON, if it was asked for with [`With::Documents`](crate::With::Documents).
    pub fn json(&self) -> Option<&'a str> {
        let entry = self.entry();
        if entry.json_view.is_null() {
            return None;
        }
        // SAFETY: as the id.
        Some(unsafe { utf8(slice::from_raw_parts(entry.json_view.cast(), entry.json_size)) })
    }

    /// Its version, for conditions; 0 when there is no such document.
    pub fn version(&self) -> u64 {
        // SAFETY: the owner lives.
        unsafe { sys::omendb_documents_version(self.owner, self.index) }
    }

    /// Its vector in the field (`None`: the only one), if it has one and if it was asked for with
    /// [`With::Vectors`](crate::With::Vectors).
    pub fn vector(&self, field: Option<&str>) -> Option<Vector<'a>> {
        let name = field.map(c_string).transpose().ok()?;
        let (mut kind, mut dim) = (0, 0);
        // SAFETY: the owner lives; the vector does as long, of that type and dimension.
        unsafe {
            let data = sys::omendb_documents_vector(
                self.owner,
                self.index,
                pointer_of(&name),
                &mut kind,
                &mut dim,
            );
            let kind = VectorType::from_c(kind)?;
            let size = kind.row_size(dim as usize)?;
            (!data.is_null()).then(|| Vector {
                bytes: slice::from_raw_parts(data.cast(), size),
                kind,
                dim,
            })
        }
    }
}

/// A stored vector, byte for byte as it went in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vector<'a> {
    bytes: &'a [u8],
    kind: VectorType,
    dim: u32,
}

impl<'a> Vector<'a> {
    /// The field's type.
    pub fn kind(&self) -> VectorType {
        self.kind
    }

    /// Components; bits of [`VectorType::Bit`].
    pub fn dim(&self) -> u32 {
        self.dim
    }

    /// As it lies in memory.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn view<T>(&self, kinds: &[VectorType]) -> Option<&'a [T]> {
        // SAFETY: only called for plain numbers of the kinds' size, for which all bits are allowed.
        let (before, values, after) = unsafe { self.bytes.align_to::<T>() };
        (kinds.contains(&self.kind) && before.is_empty() && after.is_empty()).then_some(values)
    }

    /// The components of an `F32` field.
    pub fn as_f32(&self) -> Option<&'a [f32]> {
        self.view(&[VectorType::F32])
    }

    /// The bits of an `F16` or `BF16` field's components.
    pub fn as_u16(&self) -> Option<&'a [u16]> {
        self.view(&[VectorType::F16, VectorType::BF16])
    }

    /// The components of an `I8` field.
    pub fn as_i8(&self) -> Option<&'a [i8]> {
        self.view(&[VectorType::I8])
    }
}

/// The nearest documents of each query, best first.
#[derive(Debug)]
pub struct Hits(NonNull<sys::omendb_hits>);

// SAFETY: as Documents.
unsafe impl Send for Hits {}

impl Hits {
    /// # Safety
    /// `raw` is a result that is now ours.
    pub(crate) unsafe fn new(raw: *mut sys::omendb_hits) -> Self {
        Hits(NonNull::new_unchecked(raw))
    }

    /// How many queries were asked.
    pub fn query_count(&self) -> usize {
        // SAFETY: it is open, here and below.
        unsafe { sys::omendb_hits_query_count(self.0.as_ptr()) }
    }

    /// How many hits query number `query` has.
    pub fn count(&self, query: usize) -> usize {
        // SAFETY: a query that isn't there has none.
        unsafe { sys::omendb_hits_count(self.0.as_ptr(), query) }
    }

    /// The hits of query number `query`, from 0; none if there is no such query.
    pub fn query(&self, query: usize) -> impl ExactSizeIterator<Item = Hit<'_>> + '_ {
        let raw = self.0.as_ptr();
        (0..self.count(query)).map(move |index| {
            let mut entry = MaybeUninit::uninit();
            // SAFETY: the entry is there, the call writes all of it, and both live as long as `self`.
            unsafe {
                sys::omendb_hits_entry(raw, query, index, entry.as_mut_ptr());
                let entry: sys::omendb_hit = entry.assume_init();
                Hit {
                    document: Document::new(sys::omendb_hits_documents(raw, query), index),
                    distance: entry.distance,
                    score: entry.score,
                }
            }
        })
    }

    /// How the search was run, in JSON.
    pub fn explain(&self) -> &str {
        // SAFETY: it lives as long as `self`.
        unsafe {
            let text = sys::omendb_hits_explain(self.0.as_ptr());
            if text.is_null() {
                "{}"
            } else {
                crate::ffi::text(text)
            }
        }
    }
}

impl Drop for Hits {
    fn drop(&mut self) {
        // SAFETY: it is ours, and what was borrowed from it has ended.
        unsafe { sys::omendb_hits_destroy(self.0.as_ptr()) }
    }
}

/// A document that a search found.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    document: Document<'a>,
    distance: f32,
    score: f32,
}

impl<'a> Hit<'a> {
    /// All about it.
    pub fn document(&self) -> Document<'a> {
        self.document
    }

    /// Its id.
    pub fn id(&self) -> Id<'a> {
        self.document.id()
    }

    /// Its JSON, if it was asked for.
    pub fn json(&self) -> Option<&'a str> {
        self.document.json()
    }

    /// See [`Metric`](crate::Metric).
    pub fn distance(&self) -> f32 {
        self.distance
    }

    /// Higher is better.
    pub fn score(&self) -> f32 {
        self.score
    }
}
