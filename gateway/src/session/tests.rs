//! Requests in, outcomes out.
