//! Mount points.

use crate::Result;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many mounts may lie on top of one another.
const DEEPEST: usize = 100;

/// Whether something is mounted at a path.
pub fn is_mounted(path: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounted(&table, path)
}

/// Whether a table as of `/proc/self/mountinfo` has a mount point.
fn mounted(table: &str, path: &Path) -> bool {
    table.lines().any(|line| line.split(' ').nth(4).is_some_and(|point| Path::new(point) == path))
}

/// Makes a path ready to be mounted at: makes the folder, and detaches what killed clients have left there.
///
/// # Errors
/// Something that lives is mounted there, or the folder cannot be made.
pub fn prepare(path: &Path) -> Result<()> {
    let shown = path.display();
    for _ in 0..DEEPEST {
        let dead = std::fs::metadata(path).is_err_and(|error| is_dead(&error));
        if dead {
            detach(path).map_err(|error| format!("the dead mount at {shown} cannot be detached: {error}"))?;
        } else if is_mounted(path) {
            return Err(format!("{shown} is in use: something else is mounted there. Remedy: umount {shown}"));
        } else {
            return std::fs::create_dir_all(path).map_err(|error| format!("{shown} cannot be made: {error}"));
        }
    }
    Err(format!("{shown} has more than {DEEPEST} dead mounts. Remedy: umount -l {shown}, as often as it takes"))
}

/// Whether an error is that of a file system whose process is gone.
fn is_dead(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::ECONNABORTED))
}

/// Detaches what is mounted at a path; those who use it keep it until they let go.
///
/// # Errors
/// Nothing is, or we may not.
pub fn detach(path: &Path) -> std::io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name is a C string that lives until the call returns
    match unsafe { libc::umount2(name.as_ptr(), libc::MNT_DETACH) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        22 1 0:21 / /proc rw shared:5 - proc proc rw\n\
        90 22 0:50 / /cvmfs/a.example.org ro,nosuid,nodev shared:9 - fuse cvmfs2 ro,user_id=0\n";

    #[test]
    fn mounts_are_found_by_their_whole_path() {
        for (path, expected) in
            [("/cvmfs/a.example.org", true), ("/cvmfs/a.example", false), ("/cvmfs", false), ("/", false)]
        {
            assert_eq!(mounted(TABLE, Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn errors_of_dead_mounts_are_told_from_others() {
        let error = std::io::Error::from_raw_os_error;
        assert!(is_dead(&error(libc::ENOTCONN)));
        assert!(!is_dead(&error(libc::EIO)) && !is_dead(&error(libc::ENOENT)));
    }
}
