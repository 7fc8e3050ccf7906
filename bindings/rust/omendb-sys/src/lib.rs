//! libomendb's C interface, declared for Rust: every function, structure and constant of
//! `omendb.h`, under its own name. What they do, who owns what, and from which thread a handle may be
//! used stands in that header; the crate `omendb` is the safe interface made of them.
//!
//! Structures that begin with `struct_size` have a constant `INIT` in place of the `_INIT` macro. A
//! member or parameter called `type` in C is `type_` here. Linking: see `build.rs`.
//!
//! ```
//! use omendb_sys::*;
//! use std::{mem, ptr};
//!
//! unsafe {
//!     let mut err: omendb_error = mem::zeroed();
//!     let mut db = ptr::null_mut();
//!     let path = b":memory:\0".as_ptr().cast();
//!     assert_eq!(omendb_open(path, &omendb_options::INIT, &mut db, &mut err), OMENDB_OK);
//!     assert_eq!(omendb_close(db, &mut err), OMENDB_OK);
//! }
//! ```
#![allow(non_camel_case_types)]

/// A handle that only libomendb can make or look into.
macro_rules! opaque {
    ($name:ident) => {
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
            _marker: std::marker::PhantomData<(*mut u8, std::marker::PhantomPinned)>,
        }
    };
}

#[rustfmt::skip]
mod declarations;
pub use declarations::*;
