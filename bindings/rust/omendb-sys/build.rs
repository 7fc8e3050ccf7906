//! Finds libomendb. In this order:
//!
//! 1. `OMENDB_LIB_DIR`: a folder that holds `libomendb.a` (linked statically, with `libxxhash`) or
//!    `libomendb.so`; `OMENDB_STATIC=0` takes the shared one where both are there.
//! 2. `pkg-config omendb`, as `make install` puts it there: the shared library, or the static one
//!    with `OMENDB_STATIC=1`.
//!
//! Nothing is compiled and nothing generated. docs.rs builds documentation without a library.
use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    for name in ["OMENDB_LIB_DIR", "OMENDB_STATIC", "PKG_CONFIG", "PKG_CONFIG_PATH", "DOCS_RS"] {
        println!("cargo:rerun-if-env-changed={}", name);
    }
    if env::var_os("DOCS_RS").is_some() {
        return;
    }
    let wanted = env::var("OMENDB_STATIC").ok().map(|value| value != "0");
    match env::var("OMENDB_LIB_DIR") {
        Ok(folder) => link_folder(Path::new(&folder), wanted.unwrap_or(true)),
        Err(_) => link_package(wanted.unwrap_or(false)),
    }
}

fn link_folder(folder: &Path, statically: bool) {
    let archive = folder.join("libomendb.a");
    let shared = folder.join("libomendb.so");
    println!("cargo:rustc-link-search=native={}", folder.display());
    if archive.exists() && (statically || !shared.exists()) {
        println!("cargo:rerun-if-changed={}", archive.display());
        println!("cargo:rustc-link-lib=static=omendb");
        for library in ["xxhash", "m", "pthread"] {
            println!("cargo:rustc-link-lib=dylib={}", library);
        }
    } else if shared.exists() {
        println!("cargo:rustc-link-lib=dylib=omendb");
    } else {
        panic!(
            "OMENDB_LIB_DIR={}: neither libomendb.a nor libomendb.so is there",
            folder.display()
        );
    }
}

fn link_package(statically: bool) {
    let tool = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_string());
    let mut command = Command::new(&tool);
    command.args(["--libs", "omendb"]);
    if statically {
        command.arg("--static");
    }
    let output = command.output().ok().filter(|output| output.status.success());
    let flags = match output {
        Some(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        None => panic!(
            "libomendb was not found: run `make install` in its repository so that `{} omendb` \
             knows it, or set OMENDB_LIB_DIR to a folder with libomendb.a (build/release)",
            tool
        ),
    };
    for flag in flags.split_whitespace() {
        if let Some(folder) = flag.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={}", folder);
        } else if flag == "-pthread" {
            println!("cargo:rustc-link-lib=dylib=pthread");
        } else if let Some(library) = flag.strip_prefix("-l") {
            let kind = if statically && library == "omendb" { "static" } else { "dylib" };
            println!("cargo:rustc-link-lib={}={}", kind, library);
        }
    }
}
