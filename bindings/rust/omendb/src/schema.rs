//! What a collection holds.
use crate::ffi::c_string;
use crate::Result;
use omendb_sys as sys;
use std::ffi::CString;

/// How a component is stored. Other types are converted where every value can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VectorType {
    /// IEEE binary32, the default.
    F32,
    /// IEEE binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// A whole number, -128 to 127.
    I8,
    /// A whole number, 0 to 255.
    U8,
    /// Packed bits, bit i in byte i / 8 at position i % 8; the dimension counts bits.
    Bit,
    /// Input only: IEEE binary64.
    F64,
}

impl VectorType {
    pub(crate) fn to_c(self) -> sys::omendb_type {
        match self {
            VectorType::F32 => sys::OMENDB_F32,
            VectorType::F16 => sys::OMENDB_F16,
            VectorType::BF16 => sys::OMENDB_BF16,
            VectorType::I8 => sys::OMENDB_I8,
            VectorType::U8 => sys::OMENDB_U8,
            VectorType::Bit => sys::OMENDB_BIT,
            VectorType::F64 => sys::OMENDB_F64,
        }
    }

    pub(crate) fn from_c(value: sys::omendb_type) -> Option<VectorType> {
        use VectorType::*;
        [F32, F16, BF16, I8, U8, Bit, F64].into_iter().find(|kind| kind.to_c() == value)
    }

    /// Bytes of a vector of `dim` components; `None` when that overflows.
    pub(crate) fn row_size(self, dim: usize) -> Option<usize> {
        match self {
            VectorType::F32 => dim.checked_mul(4),
            VectorType::F64 => dim.checked_mul(8),
            VectorType::F16 | VectorType::BF16 => dim.checked_mul(2),
            VectorType::I8 | VectorType::U8 => Some(dim),
            VectorType::Bit => Some(dim / 8 + usize::from(dim % 8 != 0)),
        }
    }
}

/// What near means, and which distance and score a hit has; scores are higher for nearer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Distance: the squared one. Score: 1 / (1 + distance). The default.
    L2,
    /// Distance: 1 - cos. Score: cos.
    Cosine,
    /// Both: the inner product.
    Ip,
    /// Of bits. Distance: how many differ. Score: 1 - distance / dim.
    Hamming,
}

impl Metric {
    fn to_c(self) -> sys::omendb_metric {
        match self {
            Metric::L2 => sys::OMENDB_L2,
            Metric::Cosine => sys::OMENDB_COSINE,
            Metric::Ip => sys::OMENDB_IP,
            Metric::Hamming => sys::OMENDB_HAMMING,
        }
    }
}

/// What makes nearest neighbours of many vectors fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Index {
    /// `Fast` where the field can have a graph, else `Exact`.
    Default,
    /// A graph, and codes of the neighbours beside each of its rows.
    Fast,
    /// A graph alone: a third of the memory, half of the speed.
    Compact,
    /// Every search is a scan.
    Exact,
}

impl Index {
    pub(crate) fn to_c(self) -> sys::omendb_index {
        match self {
            Index::Default => sys::OMENDB_INDEX_DEFAULT,
            Index::Fast => sys::OMENDB_INDEX_FAST,
            Index::Compact => sys::OMENDB_INDEX_COMPACT,
            Index::Exact => sys::OMENDB_INDEX_EXACT,
        }
    }
}

/// The type that a top-level key of the JSON must have, where it is there and not null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum FieldType {
    Any,
    Bool,
    Int,
    /// Takes integers too.
    Float,
    String,
    Text,
    Bytes,
    Array,
    Object,
}

impl FieldType {
    fn to_c(self) -> sys::omendb_field_type {
        match self {
            FieldType::Any => sys::OMENDB_FIELD_ANY,
            FieldType::Bool => sys::OMENDB_FIELD_BOOL,
            FieldType::Int => sys::OMENDB_FIELD_INT,
            FieldType::Float => sys::OMENDB_FIELD_FLOAT,
            FieldType::String => sys::OMENDB_FIELD_STRING,
            FieldType::Text => sys::OMENDB_FIELD_TEXT,
            FieldType::Bytes => sys::OMENDB_FIELD_BYTES,
            FieldType::Array => sys::OMENDB_FIELD_ARRAY,
            FieldType::Object => sys::OMENDB_FIELD_OBJECT,
        }
    }
}

/// A named column of vectors: `f32` under squared L2 unless told otherwise.
#[derive(Debug, Clone)]
pub struct VectorField {
    name: String,
    dim: u32,
    kind: VectorType,
    metric: Metric,
    index: Index,
}

impl VectorField {
    /// `dim`: components, 1 to [`DIM_MAX`](crate::DIM_MAX).
    pub fn new(name: impl Into<String>, dim: u32) -> Self {
        let name = name.into();
        VectorField { name, dim, kind: VectorType::F32, metric: Metric::L2, index: Index::Default }
    }

    /// The stored type.
    pub fn kind(mut self, kind: VectorType) -> Self {
        self.kind = kind;
        self
    }

    /// [`VectorType::Bit`] goes with [`Metric::Hamming`], and with it only.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    /// It can be switched later: [`Collection::set_index`](crate::Collection::set_index).
    pub fn index(mut self, index: Index) -> Self {
        self.index = index;
        self
    }
}

/// What a new collection holds: up to 16 vector fields, and JSON, whose top-level keys may be declared.
///
/// ```
/// use omendb::{FieldType, Metric, Schema, VectorField, VectorType};
/// let schema = Schema::new()
///     .vector(VectorField::new("text", 384).kind(VectorType::F16).metric(Metric::Cosine))
///     .vector(VectorField::new("image", 512))
///     .field("year", FieldType::Int);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Schema {
    vectors: Vec<VectorField>,
    fields: Vec<(String, FieldType)>,
}

impl Schema {
    /// Without vectors and declared fields.
    pub fn new() -> Self {
        Schema::default()
    }

    /// Adds a vector field.
    pub fn vector(mut self, field: VectorField) -> Self {
        self.vectors.push(field);
        self
    }

    /// Declares a top-level key; all others stay free-form.
    pub fn field(mut self, name: impl Into<String>, kind: FieldType) -> Self {
        self.fields.push((name.into(), kind));
        self
    }

    pub(crate) fn with_c<T>(
        &self,
        use_it: impl FnOnce(*const sys::omendb_schema) -> T,
    ) -> Result<T> {
        let vector_names = self
            .vectors
            .iter()
            .map(|field| c_string(&field.name))
            .collect::<Result<Vec<CString>>>()?;
        let field_names =
            self.fields.iter().map(|field| c_string(&field.0)).collect::<Result<Vec<CString>>>()?;
        let vectors: Vec<_> = (self.vectors.iter().zip(&vector_names))
            .map(|(field, name)| sys::omendb_vector_field {
                dim: field.dim,
                name: name.as_ptr(),
                type_: field.kind.to_c(),
                metric: field.metric.to_c(),
                index: field.index.to_c(),
                ..sys::omendb_vector_field::INIT
            })
            .collect();
        let fields: Vec<_> = (self.fields.iter().zip(&field_names))
            .map(|((_, kind), name)| sys::omendb_field {
                type_: kind.to_c(),
                name: name.as_ptr(),
                ..sys::omendb_field::INIT
            })
            .collect();
        let schema = sys::omendb_schema {
            // More than 32 bits hold are more than the limit, which the library then states.
            vectors_count: u32::try_from(vectors.len()).unwrap_or(u32::MAX),
            vectors: vectors.as_ptr(),
            fields: fields.as_ptr(),
            fields_count: u32::try_from(fields.len()).unwrap_or(u32::MAX),
            ..sys::omendb_schema::INIT
        };
        Ok(use_it(&schema))
    }
}
