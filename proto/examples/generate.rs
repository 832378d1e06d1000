//! Writes what is made from `linnet/v1/channel.proto`, and from the example's `users.proto`. With `promises` it prints the lines that `released.txt` gets with a
//! release.

#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("promises") => println!("{}", support::promises::of(&support::compiled()).join("\n")),
        _ => {
            support::generate(&support::root().join("src/generated"));
            support::generate_users(&support::root().join(support::USERS));
        }
    }
}
