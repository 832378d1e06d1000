//! What is generated is what the source says.

mod support;

use std::path::Path;

/// Holds a file in the repository against one that was made now.
fn holds(name: &str, kept: &Path, made: &Path) {
    let read = |folder: &Path| {
        std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    assert!(
        read(kept) == read(made),
        "{name} is out of date; write it anew with: make generate"
    );
}

#[test]
fn what_is_generated_is_made_from_the_source() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    support::generate(folder.path());
    for name in support::NAMES {
        holds(name, &support::root().join("src/generated"), folder.path());
    }
}

#[test]
fn what_the_example_has_is_made_from_its_source() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    support::generate_users(folder.path());
    let kept = support::root().join(support::USERS);
    holds(support::USERS_NAME, &kept, folder.path());
}
