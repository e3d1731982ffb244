//! The directories out of which submitters may grant: none, unless the operator says so.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use sunaba_task::{DirAccess, DirGrant};

/// A directory out of which submitters may grant. Written `ROOT`, or `ROOT:ro` to allow reading only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedDir {
    /// Its full path, as the operator wrote it.
    written: PathBuf,
    /// The same without links.
    root: PathBuf,
    access: DirAccess,
}

/// A directory that cannot be allowed, or a grant that is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllowedDirError {
    /// Not a directory that can be read.
    #[error("cannot allow `{}`: {problem}\nhint: name a directory that you can read", path.display())]
    Root {
        /// As written.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// Not a full path.
    #[error("the path `{}` is not a full one\nhint: write it from the root, without `..`", path.display())]
    Path {
        /// As written.
        path: PathBuf,
    },
    /// Not under any directory that the operator has allowed.
    #[error(
        "the directory `{}` is not one that this host allows to grant\nhint: its operator would have to start it with \
         `--allow-dir`{}", path.display(), shown(.allowed)
    )]
    Outside {
        /// As written.
        path: PathBuf,
        /// What is allowed.
        allowed: Vec<PathBuf>,
    },
    /// Below a directory that is allowed, and not there; or a link that leads out of it. Which of these is not said.
    #[error(
        "there is no directory `{}` among those that this host allows to grant\nhint: name one that is there, and no link",
        path.display()
    )]
    Missing {
        /// As written.
        path: PathBuf,
    },
    /// To be written to, where only reading is allowed.
    #[error("the directory `{}` may be granted for reading only\nhint: leave out `:rw`", path.display())]
    ReadOnly {
        /// As written.
        path: PathBuf,
    },
    /// Where the host itself keeps its queue.
    #[error("the directory `{}` has the host's own data\nhint: grant another directory", path.display())]
    Private {
        /// As written.
        path: PathBuf,
    },
}

fn shown(allowed: &[PathBuf]) -> String {
    match allowed {
        [] => "; it allows none".into(),
        allowed => {
            let allowed: Vec<_> = allowed.iter().map(|root| format!("`{}`", root.display())).collect();
            format!("; it allows {}", allowed.join(", "))
        }
    }
}

impl FromStr for AllowedDir {
    type Err = AllowedDirError;

    fn from_str(text: &str) -> Result<Self, AllowedDirError> {
        let (path, access) = match text.strip_suffix(":ro") {
            Some(path) => (path, DirAccess::ReadOnly),
            None => (text.strip_suffix(":rw").unwrap_or(text), DirAccess::ReadWrite),
        };
        let path = Path::new(path);
        let failed =
            |problem: std::io::Error| AllowedDirError::Root { path: path.to_owned(), problem: problem.to_string() };
        let root = path.canonicalize().map_err(failed)?;
        std::fs::read_dir(&root).map_err(failed)?;
        Ok(Self { written: std::path::absolute(path).map_err(failed)?, root, access })
    }
}

/// What may be granted: asked when a task is submitted, and again before each of its attempts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowance {
    pub(crate) dirs: Vec<AllowedDir>,
    /// Directories that are never granted, nor anything that holds them.
    pub(crate) private: Vec<PathBuf>,
}

impl Allowance {
    /// The grant with its path as it really is, if it is allowed.
    ///
    /// # Errors
    /// The directory is not there, or not allowed in this way.
    pub(crate) fn check(&self, grant: &DirGrant) -> Result<DirGrant, AllowedDirError> {
        let path = grant.host.clone();
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            return Err(AllowedDirError::Path { path });
        }
        // What is not allowed is not looked at: whether it exists is nobody's business but the operator's.
        if !self.dirs.iter().any(|dir| path.starts_with(&dir.root) || path.starts_with(&dir.written)) {
            return Err(AllowedDirError::Outside {
                path,
                allowed: self.dirs.iter().map(|dir| dir.root.clone()).collect(),
            });
        }
        let Some(host) = path.canonicalize().ok().filter(|host| host.is_dir()) else {
            return Err(AllowedDirError::Missing { path });
        };
        // The closest one decides, so that a part of what may be written can be kept from that.
        let closest =
            self.dirs.iter().filter(|dir| host.starts_with(&dir.root)).max_by_key(|dir| dir.root.as_os_str().len());
        let Some(closest) = closest else { return Err(AllowedDirError::Missing { path }) };
        if self.private.iter().any(|private| host.starts_with(private) || private.starts_with(&host)) {
            return Err(AllowedDirError::Private { path });
        }
        let holds_read_only =
            || self.dirs.iter().any(|dir| dir.access == DirAccess::ReadOnly && dir.root.starts_with(&host));
        if grant.access == DirAccess::ReadWrite && (closest.access == DirAccess::ReadOnly || holds_read_only()) {
            return Err(AllowedDirError::ReadOnly { path });
        }
        Ok(DirGrant { host, ..grant.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(path: &Path, access: &str) -> DirGrant {
        format!("{}::/data{access}", path.display()).parse().expect("a grant")
    }

    fn allow(dirs: &[String]) -> Allowance {
        Allowance { dirs: dirs.iter().map(|dir| dir.parse().expect("a folder")).collect(), private: Vec::new() }
    }

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().canonicalize().expect("it is there");
            let folder = folder.join(format!("sunaba-allowed-{name}-{}", std::process::id()));
            for inner in ["root/inside", "root/fixed", "root/data", "root-not"] {
                std::fs::create_dir_all(folder.join(inner)).expect("a folder");
            }
            Self(folder)
        }

        fn join(&self, path: &str) -> PathBuf {
            self.0.join(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_what_is_under_an_allowed_directory_may_be_granted() {
        let folder = Folder::new("under");
        std::os::unix::fs::symlink(folder.join("root-not"), folder.join("root/link")).expect("a link");
        std::os::unix::fs::symlink(folder.join("nothing"), folder.join("root/dangling")).expect("a link");
        std::os::unix::fs::symlink(folder.join("root"), folder.join("alias")).expect("a link");
        std::fs::write(folder.join("root/file"), "").expect("written");
        let root = allow(&[folder.join("root").display().to_string()]);
        let inside = folder.join("root/inside");
        assert_eq!(root.check(&grant(&inside, ":rw")).map(|grant| grant.host), Ok(inside.clone()));
        let alias = allow(&[folder.join("alias").display().to_string()]);
        assert_eq!(alias.check(&grant(&folder.join("alias/inside"), "")).map(|grant| grant.host), Ok(inside.clone()));

        for path in ["root-not", "nowhere", ""] {
            let refused = root.check(&grant(&folder.join(path), ""));
            assert!(matches!(refused, Err(AllowedDirError::Outside { .. })), "{path}: {refused:?}");
        }
        // Of links, nobody learns where they lead.
        for path in ["root/link", "root/dangling", "root/nowhere", "root/file"] {
            let refused = root.check(&grant(&folder.join(path), ""));
            assert!(matches!(refused, Err(AllowedDirError::Missing { .. })), "{path}: {refused:?}");
        }
        for path in [folder.join("root/inside/.."), folder.join("root/../root-not"), "root/inside".into()] {
            let refused = root.check(&grant(&path, ""));
            assert!(matches!(refused, Err(AllowedDirError::Path { .. })), "{}: {refused:?}", path.display());
        }
        assert!(matches!(allow(&[]).check(&grant(&inside, "")), Err(AllowedDirError::Outside { .. })));
    }

    #[test]
    fn closest_directory_decides_about_writing() {
        let folder = Folder::new("closest");
        let dirs = [folder.join("root").display().to_string(), format!("{}:ro", folder.join("root/fixed").display())];
        let allowance = allow(&dirs);
        assert!(allowance.check(&grant(&folder.join("root/inside"), ":rw")).is_ok());
        assert!(allowance.check(&grant(&folder.join("root/fixed"), "")).is_ok());
        for path in ["root/fixed", "root"] {
            let refused = allowance.check(&grant(&folder.join(path), ":rw"));
            assert!(matches!(refused, Err(AllowedDirError::ReadOnly { .. })), "{path}: {refused:?}");
        }
    }

    #[test]
    fn data_of_the_host_is_never_granted() {
        let folder = Folder::new("private");
        let allowance = Allowance {
            private: vec![folder.join("root/data")],
            ..allow(&[folder.join("root").display().to_string()])
        };
        for path in ["root", "root/data"] {
            let refused = allowance.check(&grant(&folder.join(path), ""));
            assert!(matches!(refused, Err(AllowedDirError::Private { .. })), "{path}: {refused:?}");
        }
        assert!(allowance.check(&grant(&folder.join("root/inside"), "")).is_ok());
    }

    #[test]
    fn directory_that_is_not_there_cannot_be_allowed() {
        assert!(matches!("/no/where".parse::<AllowedDir>(), Err(AllowedDirError::Root { .. })));
    }
}
