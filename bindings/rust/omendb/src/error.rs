//! Errors: one variant for each status of the library.
use omendb_sys as sys;
use std::fmt;

/// What every call that can fail returns.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $status:ident,)*) => {
        /// What went wrong, each with the library's message.
        #[non_exhaustive]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Error {
            $($(#[$doc])* $name(String),)*
            /// A status that this crate doesn't know: the library is newer.
            Other(i32, String),
        }

        impl Error {
            pub(crate) fn new(status: sys::omendb_status, message: String) -> Error {
                match status {
                    $(sys::$status => Error::$name(message),)*
                    other => Error::Other(other, message),
                }
            }

            /// The library's code, below zero.
            pub fn status(&self) -> i32 {
                match self {
                    $(Error::$name(_) => sys::$status,)*
                    Error::Other(status, _) => *status,
                }
            }

            /// What happened, where, and often what to do about it.
            pub fn message(&self) -> &str {
                match self {
                    $(Error::$name(message) => message,)*
                    Error::Other(_, message) => message,
                }
            }
        }
    };
}

errors! {
    /// Out of memory; nothing was changed.
    NoMemory = OMENDB_ERR_NOMEM,
    /// The operating system refused.
    Io = OMENDB_ERR_IO,
    /// A checksum or an invariant on disk failed.
    Corrupt = OMENDB_ERR_CORRUPT,
    /// The call was wrong; nothing was changed.
    Argument = OMENDB_ERR_ARGUMENT,
    /// Another process or a limit holds it, or a handle is open still; try again.
    Busy = OMENDB_ERR_BUSY,
    /// The disk or a stated limit is reached; nothing was changed.
    Full = OMENDB_ERR_FULL,
    /// A bug of the library: the handle is fenced, the file is safe.
    Internal = OMENDB_ERR_INTERNAL,
    /// No such file, collection, field or document.
    NotFound = OMENDB_ERR_NOT_FOUND,
    /// It is there already.
    Exists = OMENDB_ERR_EXISTS,
    /// A vector's dimension isn't the field's; nothing was changed.
    Dimension = OMENDB_ERR_DIMENSION,
    /// NaN, infinity, a zero vector under cosine, bad JSON.
    Value = OMENDB_ERR_VALUE,
    /// The handle or the medium is read-only.
    ReadOnly = OMENDB_ERR_READ_ONLY,
    /// Used after fork, after its snapshot or transaction ended, or after a failure fenced it.
    Misuse = OMENDB_ERR_MISUSE,
    /// A file of a newer format, or a feature that this build lacks.
    Unsupported = OMENDB_ERR_UNSUPPORTED,
    /// [`Database::interrupt`](crate::Database::interrupt) was called, or a progress function said so.
    Interrupted = OMENDB_ERR_INTERRUPTED,
    /// The call's own time has passed.
    Timeout = OMENDB_ERR_TIMEOUT,
    /// Somebody else changed it first; nothing was changed.
    Conflict = OMENDB_ERR_CONFLICT,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the library's names are constant texts, also of unknown codes.
        let name = unsafe { crate::ffi::text(sys::omendb_status_name(self.status())) };
        write!(formatter, "{}: {}", name, self.message())
    }
}

impl std::error::Error for Error {}
