//! Events out, answers in; and lines in which calls wait for each other.

mod answers;
mod events;
mod lines;
