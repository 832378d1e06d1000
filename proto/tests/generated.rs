//! What is generated is what the source says.

mod support;

#[test]
fn what_is_generated_is_made_from_the_source() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    support::generate(folder.path());
    for name in support::NAMES {
        let read = |folder: &std::path::Path| {
            std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let kept = read(&support::root().join("src/generated"));
        assert!(
            kept == read(folder.path()),
            "{name} is out of date; write it anew with: make generate"
        );
    }
}
