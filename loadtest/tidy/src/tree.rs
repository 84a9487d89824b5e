//! The files that git tracks, or would: what is ignored is nobody's business.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One text file.
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its contents.
    pub text: String,
}

/// Every text file of the repository.
pub struct Tree {
    /// The repository's root.
    pub root: PathBuf,
    /// The files, by path.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the repository that this crate lies in.
    ///
    /// # Errors
    /// When git cannot list the files.
    pub fn read() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()?;
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .context("git lists the files")?;
        ensure!(listed.status.success(), "git ls-files failed");
        let mut files: Vec<File> = String::from_utf8(listed.stdout)?
            .lines()
            // Binary files and files deleted but not yet committed do not read as text.
            .filter_map(|path| {
                let text = std::fs::read_to_string(root.join(path)).ok()?;
                Some(File {
                    path: path.to_owned(),
                    text,
                })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Self { root, files })
    }

    /// Files whose name ends in one of `endings`.
    pub fn ending<'a>(&'a self, endings: &'a [&str]) -> impl Iterator<Item = &'a File> {
        self.files
            .iter()
            .filter(move |file| endings.iter().any(|end| file.path.ends_with(end)))
    }
}
