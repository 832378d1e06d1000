//! What the last release of the API promised holds.
//!
//! `released.txt` has a line for every method and field of that release, and none of them ever changes. A release writes it
//! anew: `cargo run -p linnet-proto --example generate promises >proto/released.txt`.

mod support;

use std::collections::HashSet;

use protox::prost_reflect::prost_types::FileDescriptorSet;
use support::promises::{broken, of};

fn released() -> Vec<String> {
    let text = include_str!("../released.txt").lines();
    text.map(str::to_owned).collect()
}

#[test]
fn no_method_or_field_of_the_last_release_has_gone_or_changed() {
    let now = of(&support::compiled());
    let broken = broken(&released(), &now).join("\n");
    assert!(
        broken.is_empty(),
        "clients of the last release rely on this, and it is not so any more:\n{broken}\nadd something new instead"
    );
    let lines = released();
    assert_eq!(lines.iter().collect::<HashSet<_>>().len(), lines.len());
    assert!(!lines.is_empty());
}

/// The API with one thing in it changed.
fn changed(change: impl FnOnce(&mut FileDescriptorSet)) -> Vec<String> {
    let mut files = support::compiled();
    change(&mut files);
    of(&files)
}

#[test]
fn each_kind_of_breaking_change_is_found() {
    use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
    type Change = fn(&mut FileDescriptorSet);
    let before = of(&support::compiled());
    let changes: [(&str, Change); 8] = [
        ("a field that is gone", |files| {
            files.file[0].message_type[0].field.remove(0);
        }),
        ("another number", |files| {
            files.file[0].message_type[0].field[0].number = Some(99);
        }),
        ("another type", |files| {
            files.file[0].message_type[0].field[0].set_type(Type::Bytes);
        }),
        ("another name", |files| {
            files.file[0].message_type[0].field[0].name = Some("place".into());
        }),
        ("several instead of one", |files| {
            files.file[0].message_type[0].field[0].set_label(Label::Repeated);
        }),
        ("a method that is gone", |files| {
            files.file[0].service[0].method.remove(0);
        }),
        ("another answer", |files| {
            files.file[0].service[0].method[0].output_type = Some(".linnet.v1.Error".into());
        }),
        ("a stream instead of one", |files| {
            files.file[0].service[0].method[0].server_streaming = Some(true);
        }),
    ];
    for (what, change) in changes {
        let now = changed(change);
        assert!(!broken(&before, &now).is_empty(), "{what}");
    }
    let more = changed(|files| {
        let mut field = files.file[0].message_type[0].field[0].clone();
        (field.name, field.number) = (Some("more".into()), Some(99));
        files.file[0].message_type[0].field.push(field);
    });
    assert!(broken(&before, &more).is_empty(), "a further field is none");
}
