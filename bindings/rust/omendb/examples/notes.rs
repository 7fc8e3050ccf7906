//! Notes in one file: written, searched, changed in a transaction, backed up.
//!
//! usage: cargo run --example notes [FOLDER]   (a new folder below the temporary one otherwise)
use omendb::{
    Backup, Database, Durability, Find, Metric, Rows, Schema, Search, VectorField, Vectors, With,
};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("omendb-notes-{}", std::process::id()))
    });
    std::fs::create_dir_all(&folder)?;
    run(&folder.join("notes.omen"), &folder.join("backup.omen"))?;
    std::fs::remove_file(folder.join("notes.omen"))?;
    std::fs::remove_file(folder.join("backup.omen"))?;
    std::fs::remove_dir(&folder)?;
    Ok(())
}

fn run(path: &std::path::Path, backup: &std::path::Path) -> omendb::Result<()> {
    let db = Database::open(path)?;
    let schema = Schema::new().vector(VectorField::new("v", 3).metric(Metric::Cosine));
    let notes = db.create_collection("notes", &schema)?;

    let vectors = [1.0f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.7, 0.7, 0.0];
    notes.upsert(
        &Rows::texts(&["apples", "bridges", "both"]).vectors(Vectors::new(&vectors, 3)).json(&[
            r#"{"title": "On apples", "year": 2021}"#,
            r#"{"title": "On bridges", "year": 2019}"#,
            r#"{"title": "Apples under bridges", "year": 2023}"#,
        ]),
    )?;

    let query = [1.0, 0.1, 0.0];
    let recent = r#"{"year": {"$gte": 2020}}"#;
    let hits = notes.search(&Search::new(&query).filter(recent).with(With::Documents))?;
    for hit in hits.query(0) {
        println!("{:?} {:.3} {}", hit.id(), hit.score(), hit.json().unwrap_or("{}"));
    }

    // Whoever else changes "apples" meanwhile makes this commit fail with Conflict.
    let transaction = db.transaction()?;
    let seen = transaction.collection(&notes)?;
    seen.upsert_json("apples", r#"{"title": "On pears"}"#)?;
    transaction.commit(Durability::Full)?;
    for document in notes.find(&Find::new().with(With::Documents))?.iter() {
        println!("{:?} {}", document.id(), document.json().unwrap_or("{}"));
    }

    db.backup(backup, Backup::new())?;
    drop((seen, transaction, notes));
    db.close()
}
