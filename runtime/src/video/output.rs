//! Files that appear only when complete. Enters: a path. Leaves: an open file under a temporary name in the same folder,
//! renamed by `commit`, removed when dropped before. Nothing else ever touches the final name.

use super::{MediaError, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

pub struct PendingFile {
    pub file: File,
    temporary: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl PendingFile {
    pub fn create(target: &Path) -> Result<PendingFile> {
        if target.is_dir() {
            return Err(MediaError::file(
                target,
                "is a folder, and a file is to be written",
            ));
        }
        let temporary = beside(target);
        let file = File::create(&temporary).map_err(|e| MediaError::cannot_write(target, &e))?;
        Ok(PendingFile {
            file,
            temporary,
            target: target.into(),
            committed: false,
        })
    }

    /// Flushes to the disk, then renames.
    pub fn commit(mut self) -> Result<()> {
        let done = self
            .file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.temporary, &self.target));
        done.map_err(|e| MediaError::cannot_write(&self.target, &e))?;
        self.committed = true;
        Ok(())
    }

    pub fn target(&self) -> &Path {
        &self.target
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing is left to report to: the file was never promised.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// `.name.part-PID.ext` in the folder of `target`: the same file system, so that the rename is atomic.
pub fn beside(target: &Path) -> PathBuf {
    let name = target
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    target.with_file_name(format!(".{name}.part-{}", std::process::id()))
}
