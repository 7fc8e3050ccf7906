//! What the safe interface promises beyond the library: lengths that don't match are refused, handles
//! end in any order, panics pass through C, and every status is an error of its own.
use omendb::*;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A new folder below cargo's own for tests, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "{}-{}-{}",
            name,
            std::process::id(),
            number
        ));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const POINTS: [f32; 6] = [0.0, 0.0, 1.0, 0.0, 5.0, 5.0];

fn points(db: &Database) -> Collection {
    let schema = Schema::new().vector(VectorField::new("at", 2)).field("n", FieldType::Int);
    let points = db.create_collection("points", &schema).unwrap();
    let rows = Rows::numbers(&[1, 2, 3]).vectors(Vectors::new(&POINTS, 2));
    points.upsert(&rows.json(&[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#])).unwrap();
    points
}

fn is_argument<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Argument(message)) if !message.is_empty())
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = Folder::new("reopen");
    let path = folder.file("x.omen");
    let db = Database::open(&path).unwrap();
    let collection = points(&db);
    collection.upsert_json("text", r#"{"n": 9}"#).unwrap();
    drop(collection);
    db.close().unwrap();

    let db = Options::new().must_exist().read_only().open(&path).unwrap();
    let collection = db.collection("points").unwrap();
    let ids = [1.into(), "text".into(), "1".into()];
    let documents = collection.get(&ids, With::Everything).unwrap();
    assert_eq!(documents.len(), 3);
    let first = documents.get(0).unwrap();
    assert_eq!((first.id(), first.json()), (Id::Number(1), Some(r#"{"n":1}"#)));
    let vector = first.vector(None).unwrap();
    assert_eq!((vector.kind(), vector.dim()), (VectorType::F32, 2));
    assert_eq!(vector.as_f32(), Some(&POINTS[..2]));
    assert_eq!(first.vector(Some("at")).unwrap().bytes().len(), 8);
    assert!(first.vector(Some("nowhere")).is_none() && vector.as_u16().is_none());
    let second = documents.get(1).unwrap();
    assert!(second.is_found() && second.vector(None).is_none() && second.version() != 0);
    let third = documents.get(2).unwrap();
    assert!(!third.is_found() && third.json().is_none() && third.version() == 0);
    assert!(documents.get(3).is_none());
    assert!(matches!(collection.upsert_json(1, "{}"), Err(Error::ReadOnly(_))));
    assert!(matches!(Options::new().must_not_exist().open(&path), Err(Error::Exists(_))));
    assert!(matches!(
        Options::new().must_exist().open(folder.file("none")),
        Err(Error::NotFound(_))
    ));
}

#[test]
fn searches_find_what_is_near() {
    let db = Database::open(":memory:").unwrap();
    let collection = points(&db);
    let queries = [0.9f32, 0.0, 4.0, 4.0];
    let search = Search::many(Vectors::new(&queries, 2)).k(2).with(With::Documents);
    let hits = collection.search(&search).unwrap();
    let ids = |query| hits.query(query).map(|hit| hit.id()).collect::<Vec<_>>();
    assert_eq!(hits.query_count(), 2);
    assert_eq!(ids(0), [Id::Number(2), Id::Number(1)]);
    assert_eq!(ids(1), [Id::Number(3), Id::Number(2)]);
    assert!(ids(2).is_empty());
    let best = hits.query(0).next().unwrap();
    assert_eq!(best.json(), Some(r#"{"n":2}"#));
    assert!((best.distance() - 0.01).abs() < 1e-4 && (best.score() - 1.0 / 1.01).abs() < 1e-4);
    assert!(hits.explain().starts_with('{'));

    let filtered = Search::new(&queries[..2]).filter(r#"{"n": {"$gt": 2}}"#).exact();
    let hits = collection.search(&filtered).unwrap();
    assert_eq!(hits.query(0).map(|hit| hit.id()).collect::<Vec<_>>(), [Id::Number(3)]);
    assert!(hits.query(0).all(|hit| hit.json().is_none()));
    let paged = collection.search(&Search::new(&queries[..2]).offset(1).k(1)).unwrap();
    assert_eq!(paged.query(0).next().unwrap().id(), Id::Number(1));

    let (mut ids, mut scores, mut found) = ([0; 4], [0.0; 4], [0; 2]);
    collection.search_into(&search, &mut ids, &mut scores, &mut found).unwrap();
    assert_eq!((ids, found), ([2, 1, 3, 2], [2, 2]));

    assert!(matches!(collection.search(&Search::new(&[1.0])), Err(Error::Dimension(_))));
    assert!(matches!(collection.search(&Search::new(&[f32::NAN, 0.0])), Err(Error::Value(_))));
    let elsewhere = Search::new(&queries[..2]).field("nowhere");
    assert!(matches!(collection.search(&elsewhere), Err(Error::NotFound(_))));
}

#[test]
fn lengths_that_do_not_match_are_refused() {
    let db = Database::open(":memory:").unwrap();
    let collection = points(&db);
    let rows = || Rows::numbers(&[1, 2]);
    assert!(is_argument(collection.upsert(&rows().vectors(Vectors::new(&POINTS, 2)))));
    assert!(is_argument(collection.upsert(&rows().vectors(Vectors::new(&POINTS[..3], 2)))));
    assert!(is_argument(collection.upsert(&rows().vectors(Vectors::new(&POINTS[..4], 0)))));
    let present = Vectors::new(&POINTS[..4], 2).present(&[true]);
    assert!(is_argument(collection.upsert(&rows().vectors(present))));
    assert!(is_argument(collection.upsert(&rows().json(&["{}"]))));
    assert!(is_argument(collection.upsert(&rows().if_versions(&[1]))));
    assert!(is_argument(collection.delete_if_version(&[1.into()], &[])));
    assert!(is_argument(collection.search(&Search::new(&[]))));
    assert!(is_argument(collection.search(&Search::many(Vectors::new(&POINTS[..3], 2)))));
    let query = [0.0, 0.0];
    for (ids, scores, found) in [(9, 10, 1), (10, 9, 1), (10, 10, 0)] {
        let (mut ids, mut scores) = (vec![0; ids], vec![0.0; scores]);
        let mut found = vec![0; found];
        let search = Search::new(&query);
        assert!(is_argument(collection.search_into(&search, &mut ids, &mut scores, &mut found)));
    }
    assert!(is_argument(db.collection("a\0b")));
    assert_eq!(collection.count(None).unwrap(), 3);
}

#[test]
fn every_element_type_goes_in_and_comes_out() {
    let db = Database::open(":memory:").unwrap();
    let kinds = [
        (VectorType::F32, Metric::L2),
        (VectorType::F16, Metric::Ip),
        (VectorType::BF16, Metric::L2),
        (VectorType::I8, Metric::L2),
        (VectorType::U8, Metric::Cosine),
        (VectorType::Bit, Metric::Hamming),
    ];
    let mut schema = Schema::new();
    for (index, (kind, metric)) in kinds.iter().enumerate() {
        let field = VectorField::new(format!("v{}", index), 9).kind(*kind).metric(*metric);
        schema = schema.vector(field.index(Index::Exact));
    }
    let all = db.create_collection("all", &schema).unwrap();
    let (double, half, brain) = ([1.5f64; 9], [0x3c00u16; 9], [0x3f80u16; 9]);
    let (small, byte, bits) = ([-3i8; 9], [200u8; 9], [0x55u8, 1]);
    all.upsert(
        &Rows::texts(&["x"])
            .vectors(Vectors::new(&double, 9).field("v0"))
            .vectors(Vectors::f16(&half, 9).field("v1"))
            .vectors(Vectors::bf16(&brain, 9).field("v2"))
            .vectors(Vectors::new(&small, 9).field("v3"))
            .vectors(Vectors::new(&byte, 9).field("v4"))
            .vectors(Vectors::bits(&bits, 9).field("v5")),
    )
    .unwrap();
    let documents = all.get(&["x".into()], With::Vectors).unwrap();
    let document = documents.get(0).unwrap();
    let vector = |name| document.vector(Some(name)).unwrap();
    assert!(document.vector(None).is_none());
    assert_eq!(vector("v0").as_f32(), Some(&[1.5f32; 9][..]));
    assert_eq!(vector("v1").as_u16(), Some(&half[..]));
    assert_eq!(vector("v2").as_u16(), Some(&brain[..]));
    assert_eq!(vector("v3").as_i8(), Some(&small[..]));
    assert_eq!(vector("v4").bytes(), &byte[..]);
    assert_eq!((vector("v5").bytes(), vector("v5").kind()), (&bits[..], VectorType::Bit));
    all.set_index(Some("v0"), Index::Fast).unwrap();
    assert!(is_argument(all.set_index(Some("v5"), Index::Fast)));
}

#[test]
fn handles_end_in_any_order() {
    let folder = Folder::new("order");
    let path = folder.file("x.omen");
    let db = Database::open(&path).unwrap();
    let collection = points(&db);
    let snapshot = db.snapshot().unwrap();
    let then = snapshot.collection(&collection).unwrap();
    let transaction = db.transaction().unwrap();
    let seen = transaction.collection(&collection).unwrap();
    let batch = db.batch().unwrap();
    let hits = collection.search(&Search::new(&[0.0, 0.0])).unwrap();
    assert!(matches!(db.close(), Err(Error::Busy(_))));
    assert_eq!(then.count(None).unwrap(), 3);
    drop(snapshot);
    assert!(matches!(then.count(None), Err(Error::Misuse(_))));
    transaction.rollback();
    assert!(matches!(seen.count(None), Err(Error::Misuse(_))));
    drop(collection);
    assert!(matches!(Database::open(&path), Err(Error::Busy(_))));
    drop((batch, seen, then));
    let db = Database::open(&path).unwrap();
    assert_eq!(hits.query(0).next().unwrap().id(), Id::Number(1));
    db.close().unwrap();
    assert_eq!(hits.count(0), 3);
}

#[test]
fn conditions_and_transactions_conflict() {
    let db = Database::open(":memory:").unwrap();
    let collection = points(&db);
    let version =
        |id: u64| collection.get(&[id.into()], With::Nothing).unwrap().get(0).unwrap().version();
    let old = version(1);
    assert!(matches!(collection.upsert(&Rows::numbers(&[1]).if_absent()), Err(Error::Exists(_))));
    collection.upsert(&Rows::numbers(&[1]).if_versions(&[old])).unwrap();
    assert!(version(1) > old);
    let stale = collection.upsert(&Rows::numbers(&[1]).if_versions(&[old]));
    assert!(matches!(stale, Err(Error::Conflict(_))));
    let stale = collection.delete_if_version(&[1.into()], &[old]);
    assert!(matches!(stale, Err(Error::Conflict(_))));

    let transaction = db.transaction().unwrap();
    let seen = transaction.collection(&collection).unwrap();
    seen.upsert_json(1, r#"{"n": 10}"#).unwrap();
    let documents = seen.get(&[1.into()], With::Nothing).unwrap();
    assert_eq!(documents.get(0).unwrap().version(), VERSION_OWN);
    collection.upsert_json(1, r#"{"n": 11}"#).unwrap();
    let error = transaction.commit(Durability::Default).unwrap_err();
    assert!(matches!(error, Error::Conflict(_)));
    assert_eq!(collection.get_json(1).unwrap().as_deref(), Some(r#"{"n":11}"#));
    assert_eq!(error.status(), -17);
    assert!(error.to_string().starts_with("CONFLICT: ") && !error.message().is_empty());
    let _: &dyn std::error::Error = &error;
}

#[test]
fn batches_and_deletions_count() {
    let db = Database::open(":memory:").unwrap();
    let collection = points(&db);
    let mut batch = db.batch().unwrap();
    batch.delete(&collection, &[1.into(), 2.into()]).unwrap();
    batch.upsert(&collection, &Rows::texts(&["a", "b"])).unwrap();
    let first = batch.commit(Durability::None).unwrap();
    batch.upsert(&collection, &Rows::ids(&["c".into(), 8.into()])).unwrap();
    assert!(batch.commit(Durability::Full).unwrap() > first);
    let other = Database::open(":memory:").unwrap();
    assert!(is_argument(batch.upsert(&points(&other), &Rows::numbers(&[1]))));
    let find = Find::new().after(3).limit(3);
    let page = collection.find(&find).unwrap();
    let ids: Vec<Id> = page.iter().map(|document| document.id()).collect();
    assert_eq!(ids, [Id::Number(8), Id::Text("a"), Id::Text("b")]);
    assert_eq!(collection.count(Some(r#"{"n": 3}"#)).unwrap(), 1);
    assert_eq!(collection.delete(&[3.into(), 77.into()]).unwrap(), 1);
    assert_eq!(collection.delete_where("{}").unwrap(), 4);
    assert!(collection.find(&Find::new()).unwrap().is_empty());
}

#[test]
fn collections_are_listed_renamed_and_dropped() {
    let db = Database::open(":memory:").unwrap();
    let collection = points(&db);
    assert!(collection.describe().unwrap().contains(r#""points""#));
    db.rename_collection("points", "places").unwrap();
    assert!(db.collections().unwrap().contains(r#""places""#));
    assert!(matches!(db.collection("points"), Err(Error::NotFound(_))));
    db.drop_collection("places").unwrap();
    assert!(matches!(collection.count(None), Err(Error::NotFound(_))));
    assert!(db.stats().unwrap().starts_with('{'));
    assert!(db.check(true).unwrap().contains(r#""ok":true"#));
    db.sync().unwrap();
    assert_eq!(version(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_reader_follows_its_writer() {
    let folder = Folder::new("refresh");
    let db = Database::open(folder.file("x.omen")).unwrap();
    let collection = points(&db);
    let reader = Options::new().read_only().open(folder.file("x.omen")).unwrap();
    let seen = reader.collection("points").unwrap();
    let before = seen.count(None).unwrap();
    collection.delete_where("{}").unwrap();
    assert_eq!(seen.count(None).unwrap(), before);
    reader.refresh().unwrap();
    db.refresh().unwrap();
    assert_eq!(seen.count(None).unwrap(), 0);
    assert!(before > 0);
}

#[test]
fn backups_restore_and_repairs_report() {
    let folder = Folder::new("backup");
    let db = Database::open(folder.file("x.omen")).unwrap();
    let collection = points(&db);
    let (whole, more) = (folder.file("whole"), folder.file("more"));
    let mut calls = 0;
    let mut count = |done: u64, total: u64| {
        assert!(done <= total);
        calls += 1;
        ControlFlow::Continue(())
    };
    db.backup(&whole, Backup::new().progress(&mut count)).unwrap();
    assert!(calls > 0);
    assert!(matches!(db.backup(&whole, Backup::new()), Err(Error::Exists(_))));
    db.backup(&whole, Backup::new().replace()).unwrap();
    collection.upsert_json(4, "{}").unwrap();
    db.backup(&more, Backup::new().since(&whole)).unwrap();
    restore(&[whole, more], folder.file("back"), Backup::new()).unwrap();
    let back = Database::open(folder.file("back")).unwrap();
    assert_eq!(back.collection("points").unwrap().count(None).unwrap(), 4);
    back.close().unwrap();
    let report = repair(folder.file("back"), folder.file("mended"), Backup::new()).unwrap();
    assert!(report.contains(r#""complete":true"#), "{}", report);
    let mut stop = |_: u64, _: u64| ControlFlow::Break(());
    let stopped = db.backup(folder.file("never"), Backup::new().progress(&mut stop));
    assert!(matches!(stopped, Err(Error::Interrupted(_))));
    assert!(!folder.file("never").exists());
}

#[test]
fn a_panic_of_a_progress_function_passes_through() {
    let db = Database::open(":memory:").unwrap();
    let collection = points(&db);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut stop = |_: u64, _: u64| -> ControlFlow<()> { panic!("as the test wants it") };
        collection.wait_indexed(Some(Duration::from_secs(60)), Some(&mut stop))
    }));
    let payload = caught.unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"as the test wants it"));
    collection.wait_indexed(None, None).unwrap();
}

#[test]
fn threads_share_a_collection() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send + 'static>(_: &T) {}
    let db = Database::open(":memory:").unwrap();
    let collection = points(&db);
    shared(&db);
    shared(&collection);
    shared(&db.snapshot().unwrap());
    shared(&db.transaction().unwrap());
    sent(&db.batch().unwrap());
    sent(&collection.search(&Search::new(&[0.0, 0.0])).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let collection = &collection;
            scope.spawn(move || {
                for row in 0..50 {
                    collection.upsert_json(100 + 50 * thread + row, "{}").unwrap();
                    let hits = collection.search(&Search::new(&[0.9, 0.0]).k(1)).unwrap();
                    assert_eq!(hits.query(0).next().unwrap().id(), Id::Number(2));
                }
            });
        }
    });
    assert_eq!(collection.count(None).unwrap(), 203);
}
