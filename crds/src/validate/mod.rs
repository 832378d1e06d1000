//! Reading a manifest without an API server, with every problem and its line.
//!
//! Text becomes a tree that knows its lines (`reader`); one walk follows the CRD's own schema
//! through it (`walk`), so that a rule exists once; what the schema can't say is pure code over the
//! finished value ([`rooms`]).

mod problem;
mod reader;
pub mod rooms;
mod scalar;
mod schema;
mod text;
mod tree;
mod walk;

use std::sync::LazyLock;

pub use problem::{Problem, Problems};

use crate::{RealtimeChannel, support};

static SCHEMA: LazyLock<schema::Schema> =
    LazyLock::new(|| schema::Schema::read(&crate::schema::manifest()));

/// Reads a manifest as strictly as `kubectl apply` with the operator behind it would.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(yaml: &str) -> Result<RealtimeChannel, Problems> {
    let read = examine(yaml)?;
    let mut problems = read.problems;
    problems.extend(read.unknown);
    Problems::none_of(problems)?;
    decode(read.value)
}

/// As [`parse`], but fields that this version does not know are only told about: under the operator
/// the manifest may be of a newer version.
///
/// # Errors
/// Everything that is wrong with it, unknown fields aside.
pub fn parse_lenient(yaml: &str) -> Result<(RealtimeChannel, Vec<Problem>), Problems> {
    let read = examine(yaml)?;
    Problems::none_of(read.problems)?;
    Ok((decode(read.value)?, read.unknown))
}

/// As [`parse_lenient`], and refuses what this version does not do yet: what a gateway under the
/// operator takes.
///
/// # Errors
/// Everything that is wrong or not yet supported, unknown fields aside.
pub fn check_managed(yaml: &str) -> Result<(RealtimeChannel, Vec<Problem>), Problems> {
    let read = examine(yaml)?;
    let mut problems = read.problems;
    if let Some(channel) = &read.channel {
        problems.extend(placed(support::unsupported(channel), &read.root));
    }
    Problems::none_of(problems)?;
    Ok((decode(read.value)?, read.unknown))
}

/// As [`parse`], and refuses what this version's gateway does not do on its own.
///
/// # Errors
/// Everything that is wrong or not yet supported.
pub fn check(yaml: &str) -> Result<RealtimeChannel, Problems> {
    let read = examine(yaml)?;
    let mut problems = read.problems;
    problems.extend(read.unknown);
    if let Some(channel) = &read.channel {
        problems.extend(placed(support::unsupported_alone(channel), &read.root));
    }
    Problems::none_of(problems)?;
    decode(read.value)
}

struct Examined {
    root: tree::Node,
    value: serde_json::Value,
    /// Where enough is right for the types to hold it.
    channel: Option<RealtimeChannel>,
    problems: Vec<Problem>,
    unknown: Vec<Problem>,
}

fn examine(yaml: &str) -> Result<Examined, Problems> {
    let reader::Document { root, mut problems } = reader::read(yaml)?;
    let walk = walk::walk(&SCHEMA, &root);
    if is_of_another_kind(&root) {
        problems.extend(walk.problems);
        problems.retain(|p| p.path == "kind" || p.path == "apiVersion");
        return Err(Problems::none_of(problems).expect_err("the walk refuses the kind"));
    }
    problems.extend(walk.problems);
    let channel: Option<RealtimeChannel> = serde_json::from_value(walk.value.clone()).ok();
    if let Some(channel) = &channel {
        problems.extend(placed(rooms::problems(&channel.spec), &root));
    }
    Ok(Examined {
        root,
        value: walk.value,
        channel,
        problems,
        unknown: walk.unknown,
    })
}

/// The field-by-field problems of, say, a Deployment would only hide what is wrong.
fn is_of_another_kind(root: &tree::Node) -> bool {
    let ours: std::borrow::Cow<'_, str> = <RealtimeChannel as kube::Resource>::kind(&());
    root.text("kind")
        .is_some_and(|kind| kind != ours && text::nearest(kind, std::iter::once(&*ours)).is_none())
}

fn placed(problems: Vec<Problem>, root: &tree::Node) -> Vec<Problem> {
    problems
        .into_iter()
        .map(|problem| {
            let position = root.locate(&problem.path);
            problem.at(position)
        })
        .collect()
}

/// The walk leaves little to go wrong here: contents of metadata such as a malformed timestamp.
fn decode(value: serde_json::Value) -> Result<RealtimeChannel, Problems> {
    serde_json::from_value(value).map_err(|e| Problem::new("", e.to_string()).into())
}

#[cfg(test)]
mod tests;
