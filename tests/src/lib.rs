//! Whole-system tests of Linnet.
