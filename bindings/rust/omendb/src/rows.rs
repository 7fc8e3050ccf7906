//! Rows to be written, as borrowed columns.
use crate::ffi::{c_string, pointer_of};
use crate::{Error, Id, Result, VectorType};
use omendb_sys as sys;
use std::ptr;

mod sealed {
    pub trait Sealed {}
}

/// A number of Rust's that a component can be.
pub trait Element: sealed::Sealed + Copy + 'static {
    /// The type that it is to the library.
    const KIND: VectorType;
}

macro_rules! elements {
    ($($rust:ty = $kind:ident),*) => {$(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const KIND: VectorType = VectorType::$kind;
        }
    )*};
}
elements!(f32 = F32, f64 = F64, i8 = I8, u8 = U8);

/// Vectors one behind the other in a slice, `[rows][dim]`: a column of rows, or queries.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    field: Option<&'a str>,
    bytes: &'a [u8],
    kind: VectorType,
    dim: u32,
    present: Option<&'a [bool]>,
}

/// Any numbers as their bytes.
fn bytes_of<T: Copy>(values: &[T]) -> &[u8] {
    // SAFETY: the same memory; only called for numbers, which have no padding.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), std::mem::size_of_val(values)) }
}

impl<'a> Vectors<'a> {
    /// `values`: `[rows][dim]`.
    pub fn new<T: Element>(values: &'a [T], dim: u32) -> Self {
        Vectors::of(T::KIND, bytes_of(values), dim)
    }

    /// IEEE binary16, as its bits.
    pub fn f16(values: &'a [u16], dim: u32) -> Self {
        Vectors::of(VectorType::F16, bytes_of(values), dim)
    }

    /// The upper halves of binary32 numbers.
    pub fn bf16(values: &'a [u16], dim: u32) -> Self {
        Vectors::of(VectorType::BF16, bytes_of(values), dim)
    }

    /// Packed bits, `[rows][(dim + 7) / 8]`, bit i in byte i / 8 at position i % 8.
    pub fn bits(values: &'a [u8], dim: u32) -> Self {
        Vectors::of(VectorType::Bit, values, dim)
    }

    fn of(kind: VectorType, bytes: &'a [u8], dim: u32) -> Self {
        Vectors { field: None, bytes, kind, dim, present: None }
    }

    /// Which vector field; needed where the collection has several.
    pub fn field(mut self, name: &'a str) -> Self {
        self.field = Some(name);
        self
    }

    /// One for each row: `false` where it has no such vector (its place in the slice is skipped).
    pub fn present(mut self, present: &'a [bool]) -> Self {
        self.present = Some(present);
        self
    }

    /// How many vectors the slice holds; ARGUMENT unless they fill it.
    pub(crate) fn rows(&self) -> Result<usize> {
        let size = self.kind.row_size(self.dim as usize).filter(|size| *size != 0);
        match size {
            Some(size) if self.bytes.len() % size == 0 => Ok(self.bytes.len() / size),
            _ => Err(Error::Argument(format!(
                "{} bytes are no whole number of vectors of {} components",
                self.bytes.len(),
                self.dim
            ))),
        }
    }

    pub(crate) fn name(&self) -> Option<&'a str> {
        self.field
    }

    /// As members of a C structure: (data, type, dim).
    pub(crate) fn parts(&self) -> (*const std::os::raw::c_void, sys::omendb_type, u32) {
        (self.bytes.as_ptr().cast(), self.kind.to_c(), self.dim)
    }

    fn check(&self, count: usize) -> Result<()> {
        let rows = self.rows()?;
        let present = self.present.map_or(count, <[bool]>::len);
        if rows != count || present != count {
            return Err(Error::Argument(format!(
                "{} rows, but {} vectors and {} words about their presence",
                count, rows, present
            )));
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Ids<'a> {
    Numbers(&'a [u64]),
    Texts(Packed),
    Mixed(&'a [Id<'a>]),
}

/// Texts one behind the other, as the library wants them.
#[derive(Debug, Clone)]
struct Packed {
    text: String,
    offsets: Vec<u64>,
}

impl Packed {
    fn new<S: AsRef<str>>(texts: &[S]) -> Self {
        let mut text = String::with_capacity(texts.iter().map(|one| one.as_ref().len()).sum());
        let mut offsets = Vec::with_capacity(texts.len() + 1);
        offsets.push(0);
        for one in texts {
            text.push_str(one.as_ref());
            offsets.push(text.len() as u64);
        }
        Packed { text, offsets }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }
}

/// Rows to be written. Numbers and vectors are borrowed, texts are packed into one.
///
/// ```
/// use omendb::{Rows, Vectors};
/// let vectors = [0.0f32, 0.0, 1.0, 0.0];
/// let rows = Rows::numbers(&[7, 8]).vectors(Vectors::new(&vectors, 2)).json(&["{}", r#"{"n": 1}"#]);
/// ```
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    ids: Ids<'a>,
    vectors: Vec<Vectors<'a>>,
    json: Option<Packed>,
    if_versions: Option<&'a [u64]>,
    if_absent: bool,
}

impl<'a> Rows<'a> {
    fn of(ids: Ids<'a>) -> Self {
        Rows { ids, vectors: Vec::new(), json: None, if_versions: None, if_absent: false }
    }

    /// One row for each number.
    pub fn numbers(ids: &'a [u64]) -> Self {
        Rows::of(Ids::Numbers(ids))
    }

    /// One row for each text.
    pub fn texts<S: AsRef<str>>(ids: &[S]) -> Self {
        Rows::of(Ids::Texts(Packed::new(ids)))
    }

    /// One row for each id.
    pub fn ids(ids: &'a [Id<'a>]) -> Self {
        Rows::of(Ids::Mixed(ids))
    }

    /// Adds a column of vectors, one for each row.
    pub fn vectors(mut self, vectors: Vectors<'a>) -> Self {
        self.vectors.push(vectors);
        self
    }

    /// One JSON object for each row; without any, all are `{}`.
    pub fn json<S: AsRef<str>>(mut self, texts: &[S]) -> Self {
        self.json = Some(Packed::new(texts));
        self
    }

    /// The version that each row's document must have (`Conflict`); 0: there must be none (`Exists`);
    /// [`VERSION_ANY`](crate::VERSION_ANY): whatever it is.
    pub fn if_versions(mut self, versions: &'a [u64]) -> Self {
        self.if_versions = Some(versions);
        self
    }

    /// Insert only: `Exists` when there is such a document.
    pub fn if_absent(mut self) -> Self {
        self.if_absent = true;
        self
    }

    fn len(&self) -> usize {
        match &self.ids {
            Ids::Numbers(ids) => ids.len(),
            Ids::Texts(ids) => ids.len(),
            Ids::Mixed(ids) => ids.len(),
        }
    }

    /// The library believes the lengths that it is told; so they are compared here.
    fn check(&self) -> Result<()> {
        let count = self.len();
        for column in &self.vectors {
            column.check(count)?;
        }
        for (what, len) in [
            ("JSON texts", self.json.as_ref().map(Packed::len)),
            ("versions", self.if_versions.map(<[u64]>::len)),
        ] {
            if len.map_or(false, |len| len != count) {
                return Err(Error::Argument(format!("{} rows, but {:?} {}", count, len, what)));
            }
        }
        Ok(())
    }

    pub(crate) fn with_c<T>(&self, use_it: impl FnOnce(*const sys::omendb_rows) -> T) -> Result<T> {
        self.check()?;
        let names = (self.vectors.iter())
            .map(|column| column.field.map(c_string).transpose())
            .collect::<Result<Vec<_>>>()?;
        let vectors: Vec<_> = (self.vectors.iter().zip(&names))
            .map(|(column, name)| {
                let (data, type_, dim) = column.parts();
                sys::omendb_vectors {
                    type_,
                    field: pointer_of(name),
                    data,
                    dim,
                    // A bool is a byte, 0 or 1.
                    present: column.present.map_or(ptr::null(), |present| present.as_ptr().cast()),
                    ..sys::omendb_vectors::INIT
                }
            })
            .collect();
        let mut rows = sys::omendb_rows {
            vectors_count: u32::try_from(vectors.len()).unwrap_or(u32::MAX),
            count: self.len(),
            vectors: vectors.as_ptr(),
            if_versions: self.if_versions.map_or(ptr::null(), <[u64]>::as_ptr),
            flags: if self.if_absent { sys::OMENDB_ROWS_IF_ABSENT } else { 0 },
            ..sys::omendb_rows::INIT
        };
        let mixed;
        match &self.ids {
            Ids::Numbers(ids) => rows.id_numbers = ids.as_ptr(),
            Ids::Texts(ids) => {
                rows.id_text = ids.text.as_ptr().cast();
                rows.id_offsets = ids.offsets.as_ptr();
            }
            Ids::Mixed(ids) => {
                mixed = Id::list_to_c(ids);
                rows.ids = mixed.as_ptr();
            }
        }
        if let Some(json) = &self.json {
            rows.json = json.text.as_ptr().cast();
            rows.json_offsets = json.offsets.as_ptr();
        }
        Ok(use_it(&rows))
    }
}
