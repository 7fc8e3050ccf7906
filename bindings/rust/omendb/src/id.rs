//! Ids of documents.
use omendb_sys as sys;
use std::ptr;

/// A document's id. The number 7 and the text "7" are different ids; numbers come before texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id<'a> {
    /// Any 64-bit number.
    Number(u64),
    /// 1 to [`ID_SIZE_MAX`](crate::ID_SIZE_MAX) bytes.
    Text(&'a str),
}

impl<'a> Id<'a> {
    pub(crate) fn to_c(self) -> sys::omendb_id {
        match self {
            Id::Number(number) => sys::omendb_id { text_view: ptr::null(), size: 0, number },
            Id::Text(text) => {
                sys::omendb_id { text_view: text.as_ptr().cast(), size: text.len(), number: 0 }
            }
        }
    }

    pub(crate) fn list_to_c(ids: &[Id<'_>]) -> Vec<sys::omendb_id> {
        ids.iter().map(|id| id.to_c()).collect()
    }

    /// # Safety
    /// A text's bytes live for `'a`.
    pub(crate) unsafe fn from_c(id: &sys::omendb_id) -> Id<'a> {
        if id.text_view.is_null() {
            Id::Number(id.number)
        } else {
            Id::Text(crate::ffi::utf8(std::slice::from_raw_parts(id.text_view.cast(), id.size)))
        }
    }
}

impl From<u64> for Id<'_> {
    fn from(number: u64) -> Self {
        Id::Number(number)
    }
}

impl<'a> From<&'a str> for Id<'a> {
    fn from(text: &'a str) -> Self {
        Id::Text(text)
    }
}
