//! Files that are made here, and replaced when their maker is gone.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

/// Removes a file when it is dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct Made {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Made {
    pub(super) fn new(path: PathBuf, metadata: &fs::Metadata) -> Self {
        Self { path, device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode) {
            // Who cannot remove it leaves what the next start replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a FIFO and opens it at both ends, so that it never is without a writer. Returns the reading end first.
pub(super) fn make_fifo(path: &Path, mode: u32) -> io::Result<(File, File, Made)> {
    let access = Mode::from_raw_mode(mode);
    match mkfifo(path, access) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_stale_fifo(path)?;
            mkfifo(path, access)?;
        }
        done => done?,
    }
    let reader = open_fifo(path, OFlags::RDONLY)?;
    let metadata = reader.metadata()?;
    let made = Made::new(path.to_owned(), &metadata);
    // The mode that was asked for, whatever the process's mask took off it.
    reader.set_permissions(fs::Permissions::from_mode(mode))?;
    let writer = open_fifo(path, OFlags::WRONLY)?;
    if writer.metadata()?.ino() != metadata.ino() {
        return Err(io::Error::other("another file took its place"));
    }
    Ok((reader, writer, made))
}

/// Opens what must be a FIFO, and waits for nobody at its other end.
pub(super) fn open_fifo(path: &Path, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.file_type().is_fifo() { Ok(file) } else { Err(io::Error::other("it is no FIFO")) }
}

fn remove_stale_fifo(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::other("there is a file that is no FIFO"));
    }
    // Only where somebody reads, a FIFO opens for writing.
    match open_fifo(path, OFlags::WRONLY) {
        Ok(_) => Err(io::Error::other("another program serves it")),
        Err(_) => fs::remove_file(path),
    }
}

#[cfg(not(target_vendor = "apple"))]
fn mkfifo(path: &Path, mode: Mode) -> io::Result<()> {
    Ok(rustix::fs::mkfifoat(CWD, path, mode)?)
}

#[cfg(target_vendor = "apple")]
fn mkfifo(_: &Path, _: Mode) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
