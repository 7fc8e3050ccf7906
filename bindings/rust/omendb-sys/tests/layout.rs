//! The declarations say what `omendb.h` says. A C file is made of them - every function declared
//! again, and an assertion about each constant, size, offset and member type - and given to the C
//! compiler beside the header: it refuses what differs. And nothing of the header is missing.
//!
//! The file's own parser knows the shape of `declarations.rs`, which a tool writes.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use omendb_sys as sys;

const DECLARATIONS: &str = include_str!("../src/declarations.rs");

/// `OMENDB_INCLUDE`, or the header of the checkout around this crate.
fn include_folder() -> PathBuf {
    match std::env::var_os("OMENDB_INCLUDE") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../include"),
    }
}

fn c_compiler(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=c11", "-x", "c", "-Wall", "-Wextra", "-Werror"])
        .args(arguments)
        .arg(format!("-I{}", include_folder().display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a C compiler");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the C compiler refused:\n{}", input);
    String::from_utf8(output.stdout).unwrap()
}

/// The C type that a Rust type of the declarations stands for.
fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(rest) = rust.strip_prefix("*const ") {
        return match c_type(rest) {
            inner if inner.ends_with('*') => format!("{} const *", inner),
            inner => format!("const {} *", inner),
        };
    }
    if let Some(rest) = rust.strip_prefix("*mut ") {
        return format!("{} *", c_type(rest));
    }
    let name = match rust {
        "u8" => "uint8_t",
        "u32" => "uint32_t",
        "i32" => "int32_t",
        "u64" => "uint64_t",
        "usize" => "size_t",
        "f32" => "float",
        "c_char" => "char",
        "c_int" => "int",
        "c_void" => "void",
        name => name,
    };
    name.to_string()
}

fn c_name(rust: &str) -> &str {
    if rust == "type_" {
        "type"
    } else {
        rust
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).unwrap().1.split_once(end).unwrap().0
}

/// C prototypes of all functions.
fn functions() -> Vec<String> {
    let block = between(DECLARATIONS, "extern \"C\" {\n", "\n}\n");
    let mut found = Vec::new();
    for item in block.split("pub fn ").skip(1) {
        let (name, rest) = item.split_once('(').unwrap();
        let (parameters, tail) = rest.split_once(')').unwrap();
        let result =
            tail.split_once("-> ").map_or("c_void", |(_, kind)| kind.split(';').next().unwrap());
        let mut list: Vec<String> = Vec::new();
        for parameter in parameters.split(',').filter(|text| !text.trim().is_empty()) {
            list.push(c_type(parameter.split_once(": ").unwrap().1));
        }
        if list.is_empty() {
            list.push("void".to_string());
        }
        found.push(format!("{} {}({});\n", c_type(result), name, list.join(", ")));
    }
    found
}

/// (structure, [(member, Rust type)])
fn structures() -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    for item in DECLARATIONS.split("\npub struct ").skip(1) {
        let (name, rest) = item.split_once(" {\n").unwrap();
        let body = rest.split("\n}\n").next().unwrap();
        let members = body.lines().map(|line| {
            let (member, kind) =
                line.trim().strip_prefix("pub ").unwrap().split_once(": ").unwrap();
            (member.to_string(), kind.trim_end_matches(',').to_string())
        });
        found.push((name.to_string(), members.collect()));
    }
    found
}

fn constants() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in DECLARATIONS.lines().filter(|line| line.starts_with("pub const ")) {
        let (name, rest) = line["pub const ".len()..].split_once(": ").unwrap();
        let value = rest.split_once(" = ").unwrap().1.trim_end_matches(';');
        found.push((name.to_string(), value.to_string()));
    }
    found
}

/// Sizes and offsets as this compiler has them: (structure, size, alignment, [(member, offset)]).
type Layout = (&'static str, usize, usize, Vec<(&'static str, usize)>);

macro_rules! layouts {
    ($($name:ident { $($member:ident)* })*) => {
        vec![$({
            let value = std::mem::MaybeUninit::<sys::$name>::uninit();
            let base = value.as_ptr();
            let offsets = vec![$((stringify!($member), unsafe {
                std::ptr::addr_of!((*base).$member) as usize - base as usize
            })),*];
            (stringify!($name), std::mem::size_of::<sys::$name>(),
             std::mem::align_of::<sys::$name>(), offsets)
        }),*]
    };
}

fn layouts() -> Vec<Layout> {
    layouts! {
        omendb_error { status message }
        omendb_options { struct_size flags durability interval_ms wal_size_max index_threads }
        omendb_backup_options { struct_size flags base progress context }
        omendb_repair_options { struct_size flags progress context }
        omendb_vector_field { struct_size dim name type_ metric index reserved }
        omendb_field { struct_size type_ name }
        omendb_schema { struct_size vectors_count vectors fields fields_count }
        omendb_id { text_view size number }
        omendb_vectors { struct_size type_ field data row_stride dim reserved present }
        omendb_rows { struct_size vectors_count count ids id_numbers id_text id_offsets vectors json
                      json_offsets if_versions flags reserved }
        omendb_document { id json_view json_size found }
        omendb_find_params { struct_size flags filter filter_size after limit timeout_ms reserved }
        omendb_search_params { struct_size flags field type_ dim queries query_count row_stride k
                               offset filter filter_size recall ef threads timeout_ms }
        omendb_hit { document distance score }
    }
}

#[test]
fn functions_have_the_header_s_types() {
    let mut text = String::from("#include <omendb.h>\n");
    text.extend(functions());
    c_compiler(&["-fsyntax-only"], &text);
}

#[test]
fn constants_have_the_header_s_values() {
    let mut text = String::from("#include <omendb.h>\n");
    for (name, value) in constants() {
        let value = value.replace("u64::MAX", "UINT64_MAX").replace('_', "");
        let value = value.replace("UINT64MAX", "UINT64_MAX");
        if value.starts_with('"') {
            let _ = writeln!(text, "_Static_assert(sizeof {} == sizeof {}, \"\");", name, value);
        } else {
            let _ = writeln!(text, "_Static_assert({} == ({}), \"{}\");", name, value, name);
        }
    }
    c_compiler(&["-fsyntax-only"], &text);
    assert_eq!(sys::OMENDB_ERR_CONFLICT, -17);
    assert_eq!(sys::OMENDB_VERSION_OWN, u64::MAX - 1);
    assert_eq!(sys::OMENDB_VERSION_STRING, env!("CARGO_PKG_VERSION"));
}

#[test]
fn structures_have_the_header_s_layout() {
    let parsed = structures();
    let measured = layouts();
    let names: Vec<&str> = parsed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, measured.iter().map(|layout| layout.0).collect::<Vec<_>>());
    let mut text = String::from("#include <omendb.h>\n");
    for ((name, members), (_, size, alignment, offsets)) in parsed.iter().zip(&measured) {
        let listed: Vec<&str> = members.iter().map(|(member, _)| member.as_str()).collect();
        assert_eq!(listed, offsets.iter().map(|offset| offset.0).collect::<Vec<_>>(), "{}", name);
        let _ = writeln!(text, "_Static_assert(sizeof({}) == {}, \"{}\");", name, size, name);
        let _ =
            writeln!(text, "_Static_assert(_Alignof({}) == {}, \"{}\");", name, alignment, name);
        for ((member, kind), (_, offset)) in members.iter().zip(offsets) {
            let member = c_name(member);
            let array = kind
                .strip_prefix('[')
                .map(|inner| inner.trim_end_matches(']').split_once("; ").unwrap());
            let kind = match array {
                Some((element, count)) => format!("{}[{}]", c_type(element), count),
                None => c_type(kind),
            };
            let _ = writeln!(
                text,
                "_Static_assert(offsetof({0}, {1}) == {2}, \"{0}.{1}\");\n\
                 _Static_assert(__builtin_types_compatible_p(__typeof__((({0} *)0)->{1}), {3}), \
                 \"{0}.{1}\");",
                name, member, offset, kind
            );
        }
    }
    c_compiler(&["-fsyntax-only"], &text);
}

/// Words of `text` that begin with `prefix`.
fn words<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(prefix))
        .collect()
}

#[test]
fn nothing_of_the_header_is_missing() {
    let header = c_compiler(&["-E", "-P"], "#include <omendb.h>\n");
    let declared = words(DECLARATIONS, "omendb_");
    for name in words(&header, "omendb_") {
        assert!(declared.contains(name), "{} isn't declared", name);
    }
    let macros = c_compiler(&["-E", "-dM"], "#include <omendb.h>\n");
    let not_constants = ["OMENDB_API", "OMENDB_NODISCARD", "OMENDB_H"];
    let declared = words(DECLARATIONS, "OMENDB_");
    for name in words(&header, "OMENDB_").union(&words(&macros, "OMENDB_")) {
        let constant = !not_constants.contains(name) && !name.ends_with("_INIT");
        assert!(!constant || declared.contains(name), "{} isn't declared", name);
    }
}
