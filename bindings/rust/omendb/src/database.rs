//! The database file.
use crate::ffi::{c_string, call, call_for, call_for_text, pointer_of, Observer};
use crate::search::milliseconds;
use crate::{Batch, Collection, Error, Result, Schema, Snapshot, Transaction};
use omendb_sys as sys;
use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::ops::ControlFlow;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

/// What "acknowledged" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The database's own setting; `Full` at opening.
    Default,
    /// Survives loss of power.
    Full,
    /// Survives a kill of the process at once, and loss of power after the interval.
    Interval,
    /// Survives a clean close.
    None,
}

impl Durability {
    pub(crate) fn to_c(self) -> sys::omendb_durability {
        match self {
            Durability::Default => sys::OMENDB_DURABILITY_DEFAULT,
            Durability::Full => sys::OMENDB_DURABILITY_FULL,
            Durability::Interval => sys::OMENDB_DURABILITY_INTERVAL,
            Durability::None => sys::OMENDB_DURABILITY_NONE,
        }
    }
}

/// Is told how far a long call is, (done, total), and may break it off: `Interrupted`.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// How to open a database.
///
/// ```no_run
/// use omendb::{Durability, Options};
/// use std::time::Duration;
/// let db = Options::new()
///     .must_exist()
///     .durability(Durability::Interval)
///     .interval(Duration::from_millis(20))
///     .open("my.omen")?;
/// # Ok::<(), omendb::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Options(sys::omendb_options);

impl Default for Options {
    fn default() -> Self {
        Options(sys::omendb_options::INIT)
    }
}

impl Options {
    /// All defaults.
    pub fn new() -> Self {
        Options::default()
    }

    /// `NotFound` instead of making a new file.
    pub fn must_exist(mut self) -> Self {
        self.0.flags |= sys::OMENDB_OPEN_MUST_EXIST;
        self
    }

    /// `Exists` instead of opening an old one.
    pub fn must_not_exist(mut self) -> Self {
        self.0.flags |= sys::OMENDB_OPEN_MUST_NOT_EXIST;
        self
    }

    /// The state at opening or of the last `refresh`, also beside another process that writes; the file is
    /// never written.
    pub fn read_only(mut self) -> Self {
        self.0.flags |= sys::OMENDB_OPEN_READ_ONLY;
        self
    }

    /// Of writes that don't say.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.0.durability = durability.to_c();
        self
    }

    /// For [`Durability::Interval`]; 100 ms by default.
    pub fn interval(mut self, time: Duration) -> Self {
        self.0.interval_ms = milliseconds(time);
        self
    }

    /// Log bytes that start a checkpoint; 64 MiB by default.
    pub fn wal_size_max(mut self, size: u64) -> Self {
        self.0.wal_size_max = size;
        self
    }

    /// Threads that build graphs in the background; half of the processors by default.
    pub fn index_threads(mut self, threads: u32) -> Self {
        self.0.index_threads = threads;
        self
    }

    /// Opens or makes the file; `":memory:"` is none, and gone at the end.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Database> {
        let path = c_string(path.as_ref())?;
        let raw =
            call_for(|out, err| unsafe { sys::omendb_open(path.as_ptr(), &self.0, out, err) })?;
        // SAFETY: an open database, now ours.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Ok(Database { shared: Arc::new(Shared { raw }) })
    }
}

/// What everything made of a database holds: the last one closes it.
#[derive(Debug)]
pub(crate) struct Shared {
    raw: NonNull<sys::omendb>,
}

// SAFETY: the library lets any number of threads use a database at once.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing made of it is left.
        let _ = unsafe { sys::omendb_close(self.raw.as_ptr(), ptr::null_mut()) };
    }
}

/// A database, open.
#[derive(Debug)]
pub struct Database {
    shared: Arc<Shared>,
}

/// What to back up, and how.
#[derive(Default)]
pub struct Backup<'a> {
    base: Option<&'a Path>,
    flags: u32,
    progress: Option<Progress<'a>>,
}

impl<'a> Backup<'a> {
    /// The whole database; nothing that is there is replaced.
    pub fn new() -> Self {
        Backup::default()
    }

    /// Only what this backup or increment of the same database, made before, lacks.
    pub fn since(mut self, base: &'a Path) -> Self {
        self.base = Some(base);
        self
    }

    /// A file that is there, not in use and without a log, is replaced.
    pub fn replace(mut self) -> Self {
        self.flags |= sys::OMENDB_BACKUP_REPLACE;
        self
    }

    /// In bytes; of a repair and of `":memory:"` in documents.
    pub fn progress(mut self, progress: Progress<'a>) -> Self {
        self.progress = Some(progress);
        self
    }

    fn run(self, function: impl FnOnce(&sys::omendb_backup_options) -> Result<()>) -> Result<()> {
        let base = self.base.map(c_string).transpose()?;
        let mut observer = Observer::new(self.progress);
        let result = function(&sys::omendb_backup_options {
            flags: self.flags,
            base: pointer_of(&base),
            progress: observer.callback(),
            context: observer.context(),
            ..sys::omendb_backup_options::INIT
        });
        observer.finish();
        result
    }
}

impl Database {
    /// Opens or makes the file with all defaults; [`Options`] has the others.
    pub fn open(path: impl AsRef<Path>) -> Result<Database> {
        Options::new().open(path)
    }

    /// Every unsafe block below gives it to the library, with pointers that live during the call.
    fn raw(&self) -> *mut sys::omendb {
        self.shared.raw.as_ptr()
    }

    /// Writes the final state and removes the log. On an error everything that was acknowledged is in
    /// file and log and comes back at the next opening. `Busy`: collections, batches, snapshots or transactions
    /// are left, and the last of them closes it.
    pub fn close(self) -> Result<()> {
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => {
                let shared = ManuallyDrop::new(shared);
                call(|err| unsafe { sys::omendb_close(shared.raw.as_ptr(), err) })
            }
            Err(_) => Err(Error::Busy("close: collections or other handles are open still".into())),
        }
    }

    /// Makes everything acknowledged so far durable, whatever its level.
    pub fn sync(&self) -> Result<()> {
        call(|err| unsafe { sys::omendb_sync(self.raw(), err) })
    }

    /// Moves a read-only database on to the newest state, by whole batches: what was acknowledged before
    /// the call, by whichever process, is seen by calls after it. Snapshots and results stay what they are;
    /// a collection that was dropped is `NotFound`. `Busy`: the writer makes one checkpoint after the
    /// other; try again. Others are at their newest state always.
    pub fn refresh(&self) -> Result<()> {
        call(|err| unsafe { sys::omendb_refresh(self.raw(), err) })
    }

    /// Ends running queries, backups and waiting writers with `Interrupted`, from any thread.
    pub fn interrupt(&self) {
        unsafe { sys::omendb_interrupt(self.raw()) }
    }

    /// Sizes, counts and states, as a JSON object.
    pub fn stats(&self) -> Result<String> {
        call_for_text(|out, err| unsafe { sys::omendb_stats(self.raw(), out, err) })
    }

    /// Verifies the file; `deep` reads all of it. The report is JSON, `{"ok": bool, "problems": [...]}`.
    pub fn check(&self, deep: bool) -> Result<String> {
        let flags = if deep { sys::OMENDB_CHECK_DEEP } else { 0 };
        call_for_text(|out, err| unsafe { sys::omendb_check(self.raw(), flags, out, err) })
    }

    /// Makes a collection: `Exists` if there is one of that name.
    pub fn create_collection(&self, name: &str, schema: &Schema) -> Result<Collection> {
        let name = c_string(name)?;
        let raw = schema.with_c(|schema| {
            call_for(|out, err| unsafe {
                sys::omendb_collection_create(self.raw(), name.as_ptr(), schema, out, err)
            })
        })??;
        Ok(unsafe { Collection::new(raw, &self.shared) })
    }

    /// The collection of that name: `NotFound` if there is none.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        let name = c_string(name)?;
        let raw = call_for(|out, err| unsafe {
            sys::omendb_collection_open(self.raw(), name.as_ptr(), out, err)
        })?;
        Ok(unsafe { Collection::new(raw, &self.shared) })
    }

    /// Ends a collection and its documents; handles of it answer `NotFound`.
    pub fn drop_collection(&self, name: &str) -> Result<()> {
        let name = c_string(name)?;
        call(|err| unsafe { sys::omendb_collection_drop(self.raw(), name.as_ptr(), err) })
    }

    /// Gives a collection another name.
    pub fn rename_collection(&self, name: &str, new_name: &str) -> Result<()> {
        let (name, new_name) = (c_string(name)?, c_string(new_name)?);
        call(|err| unsafe {
            sys::omendb_collection_rename(self.raw(), name.as_ptr(), new_name.as_ptr(), err)
        })
    }

    /// All collections by name, with fields and counts, as a JSON array.
    pub fn collections(&self) -> Result<String> {
        call_for_text(|out, err| unsafe { sys::omendb_collection_list(self.raw(), out, err) })
    }

    /// A batch over several collections, visible whole or not at all.
    pub fn batch(&self) -> Result<Batch> {
        let raw = call_for(|out, err| unsafe { sys::omendb_batch_create(self.raw(), out, err) })?;
        Ok(unsafe { Batch::new(raw, &self.shared) })
    }

    /// All collections as they are at this moment, for as long as it is kept.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let raw =
            call_for(|out, err| unsafe { sys::omendb_snapshot_create(self.raw(), out, err) })?;
        Ok(unsafe { Snapshot::new(raw, &self.shared) })
    }

    /// Reads and writes that become visible and durable as one, or not at all.
    pub fn transaction(&self) -> Result<Transaction> {
        let raw =
            call_for(|out, err| unsafe { sys::omendb_transaction_begin(self.raw(), out, err) })?;
        Ok(unsafe { Transaction::new(raw, &self.shared) })
    }

    /// Copies the database to a new file while readers and writers go on, each block verified.
    pub fn backup(&self, path: impl AsRef<Path>, backup: Backup<'_>) -> Result<()> {
        let path = c_string(path.as_ref())?;
        backup.run(|options| {
            call(|err| unsafe { sys::omendb_backup(self.raw(), path.as_ptr(), options, err) })
        })
    }
}

/// Makes the database `path` of a backup and the increments behind it, in the order in which they were
/// made. All blocks are verified.
pub fn restore<P: AsRef<Path>>(
    backups: &[P],
    path: impl AsRef<Path>,
    options: Backup<'_>,
) -> Result<()> {
    let names =
        backups.iter().map(|name| c_string(name.as_ref())).collect::<Result<Vec<CString>>>()?;
    let pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let path = c_string(path.as_ref())?;
    options.run(|options| {
        call(|err| unsafe {
            sys::omendb_restore(pointers.as_ptr(), pointers.len(), path.as_ptr(), options, err)
        })
    })
}

/// Makes the new database `out_path` of what can be read of the damaged one at `path`, which is never
/// written. The report is JSON: `"complete"` tells whether everything is there. Of the options, those
/// that fit: [`Backup::replace`] and [`Backup::progress`].
pub fn repair(
    path: impl AsRef<Path>,
    out_path: impl AsRef<Path>,
    options: Backup<'_>,
) -> Result<String> {
    let (path, out_path) = (c_string(path.as_ref())?, c_string(out_path.as_ref())?);
    let mut observer = Observer::new(options.progress);
    let options = sys::omendb_repair_options {
        flags: options.flags,
        progress: observer.callback(),
        context: observer.context(),
        ..sys::omendb_repair_options::INIT
    };
    let report = call_for_text(|out, err| unsafe {
        sys::omendb_repair(path.as_ptr(), out_path.as_ptr(), &options, out, err)
    });
    observer.finish();
    report
}
