//! How many files the process may open: every connection is one.

use std::io;

/// Raises the soft limit to the hard one, as a process may without privileges, and gives it.
///
/// The soft limit is low by default (1024) for programs that use `select`, which this one does not.
///
/// # Errors
/// When the system refuses.
pub fn raise_file_limit() -> io::Result<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live struct of the type that the call writes.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to a live struct of the type that the call reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)) // RLIM_INFINITY
}

#[cfg(test)]
mod tests {
    #[test]
    fn raising_twice_gives_the_same_limit() {
        let limit = super::raise_file_limit().unwrap();
        assert!(limit > 0);
        assert_eq!(super::raise_file_limit().unwrap(), limit);
    }
}
