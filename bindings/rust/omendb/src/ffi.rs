//! What every call into C shares: errors, texts, and Rust functions that C calls back.
use crate::{Error, Progress, Result};
use omendb_sys as sys;
use std::any::Any;
use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

/// Calls `function` with a place for its error.
pub(crate) fn call<F>(function: F) -> Result<()>
where
    F: FnOnce(*mut sys::omendb_error) -> sys::omendb_status,
{
    // SAFETY: all zero is a status and an empty message.
    let mut err: sys::omendb_error = unsafe { MaybeUninit::zeroed().assume_init() };
    let status = function(&mut err);
    if status == sys::OMENDB_OK {
        return Ok(());
    }
    // SAFETY: the message is NUL-terminated.
    let message = unsafe { CStr::from_ptr(err.message.as_ptr()) };
    Err(Error::new(status, message.to_string_lossy().into_owned()))
}

/// A call that gives a handle; it is never NULL when the status is OK.
pub(crate) fn call_for<T, F>(function: F) -> Result<*mut T>
where
    F: FnOnce(*mut *mut T, *mut sys::omendb_error) -> sys::omendb_status,
{
    let mut out = ptr::null_mut();
    call(|err| function(&mut out, err))?;
    assert!(!out.is_null());
    Ok(out)
}

/// A call that gives a text, which is copied and handed back.
pub(crate) fn call_for_text<F>(function: F) -> Result<String>
where
    F: FnOnce(*mut *mut c_char, *mut sys::omendb_error) -> sys::omendb_status,
{
    let out = call_for(function)?;
    // SAFETY: NUL-terminated, ours until omendb_text_destroy().
    unsafe {
        let copy = CStr::from_ptr(out).to_string_lossy().into_owned();
        sys::omendb_text_destroy(out);
        Ok(copy)
    }
}

/// The UTF-8 of `bytes`: all of it, unless somebody made a file by hand, then what comes before the
/// first bad byte.
pub(crate) fn utf8(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
    }
}

/// # Safety
/// `text` is NUL-terminated and lives for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> &'a str {
    utf8(CStr::from_ptr(text).to_bytes())
}

/// A name or path for C; one that holds a NUL can't be any.
pub(crate) fn c_string<S: AsRef<OsStr> + ?Sized>(name: &S) -> Result<CString> {
    CString::new(name.as_ref().as_bytes())
        .map_err(|_| Error::Argument("a name or path holds a NUL".to_string()))
}

/// NULL for none.
pub(crate) fn pointer_of(name: &Option<CString>) -> *const c_char {
    name.as_ref().map_or(ptr::null(), |name| name.as_ptr())
}

/// A Rust function that C calls; a panic is held back until C has returned.
pub(crate) struct Observer<'a> {
    function: Option<Progress<'a>>,
    panic: Option<Box<dyn Any + Send>>,
}

pub(crate) type Callback = unsafe extern "C" fn(*mut c_void, u64, u64) -> c_int;

impl<'a> Observer<'a> {
    pub(crate) fn new(function: Option<Progress<'a>>) -> Self {
        Observer { function, panic: None }
    }

    pub(crate) fn callback(&self) -> Option<Callback> {
        self.function.is_some().then_some(observe as Callback)
    }

    pub(crate) fn context(&mut self) -> *mut c_void {
        (self as *mut Observer<'a>).cast()
    }

    /// After the call: goes on panicking if the function did.
    pub(crate) fn finish(self) {
        if let Some(payload) = self.panic {
            panic::resume_unwind(payload);
        }
    }
}

/// # Safety
/// `context` is an observer that nobody else touches meanwhile.
unsafe extern "C" fn observe(context: *mut c_void, done: u64, total: u64) -> c_int {
    let observer = &mut *context.cast::<Observer<'_>>();
    let function = match observer.function.as_mut() {
        Some(function) if observer.panic.is_none() => function,
        _ => return 1,
    };
    match panic::catch_unwind(AssertUnwindSafe(|| function(done, total))) {
        Ok(ControlFlow::Continue(())) => 0,
        Ok(ControlFlow::Break(())) => 1,
        Err(payload) => {
            observer.panic = Some(payload);
            1
        }
    }
}
