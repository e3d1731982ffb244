//! The directories out of which submitters may grant: none, unless the operator says so.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sunaba_task::{DirAccess, DirGrant};

/// A directory out of which submitters may grant. Written `ROOT`, or `ROOT:ro` to allow reading only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedDir {
    /// The directory, without links.
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
    /// Not there, or not to be read by the host.
    #[error("cannot grant `{}`: {problem}\nhint: name a directory on the host's machine, by its full path", path.display())]
    Path {
        /// As written.
        path: PathBuf,
        /// What the system said.
        problem: String,
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
    /// To be written to, where only reading is allowed.
    #[error("the directory `{}` may be granted for reading only\nhint: leave out `:rw`", path.display())]
    ReadOnly {
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
        let failed = |problem: String| AllowedDirError::Root { path: path.to_owned(), problem };
        let root = path.canonicalize().map_err(|error| failed(error.to_string()))?;
        std::fs::read_dir(&root).map_err(|error| failed(error.to_string()))?;
        Ok(Self { root, access })
    }
}

/// The grant with its path as it really is, if it is allowed.
///
/// # Errors
/// The directory is not there, or not allowed in this way.
pub(crate) fn check(allowed: &[AllowedDir], grant: &DirGrant) -> Result<DirGrant, AllowedDirError> {
    let path = grant.host.clone();
    // What is not allowed is not looked at: whether a path exists is nobody's business but the operator's.
    let outside = || AllowedDirError::Outside {
        path: path.clone(),
        allowed: allowed.iter().map(|dir| dir.root.clone()).collect(),
    };
    if !path.is_absolute() || allowed.is_empty() {
        return Err(outside());
    }
    let host = match path.canonicalize() {
        Ok(host) => host,
        Err(_) if !allowed.iter().any(|dir| path.starts_with(&dir.root)) => return Err(outside()),
        Err(error) => return Err(AllowedDirError::Path { path, problem: error.to_string() }),
    };
    let roots: Vec<_> = allowed.iter().filter(|dir| host.starts_with(&dir.root)).collect();
    if roots.is_empty() {
        return Err(outside());
    }
    let writes = grant.access == DirAccess::ReadWrite;
    if writes && !roots.iter().any(|dir| dir.access == DirAccess::ReadWrite) {
        return Err(AllowedDirError::ReadOnly { path });
    }
    Ok(DirGrant { host, ..grant.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(path: &Path, access: &str) -> DirGrant {
        format!("{}::/data{access}", path.display()).parse().expect("a grant")
    }

    #[test]
    fn only_what_is_under_an_allowed_directory_may_be_granted() {
        let folder = std::env::temp_dir().join(format!("sunaba-allowed-{}", std::process::id()));
        let (inside, outside) = (folder.join("root/inside"), folder.join("root-not"));
        std::fs::create_dir_all(&inside).expect("a folder");
        std::fs::create_dir_all(&outside).expect("a folder");
        std::os::unix::fs::symlink(&outside, folder.join("root/link")).expect("a link");
        let root = folder.join("root");
        let allowed = |suffix: &str| [format!("{}{suffix}", root.display()).parse::<AllowedDir>().expect("a folder")];
        let (both, reading) = (allowed(""), allowed(":ro"));

        let canonical = inside.canonicalize().expect("it is there");
        for path in [inside.clone(), root.join("inside/../inside/.")] {
            assert_eq!(check(&both, &grant(&path, ":rw")).map(|grant| grant.host), Ok(canonical.clone()));
            assert!(check(&reading, &grant(&path, "")).is_ok());
            assert!(matches!(check(&reading, &grant(&path, ":rw")), Err(AllowedDirError::ReadOnly { .. })));
        }
        for path in [outside.clone(), root.join("link"), root.join(".."), folder.join("nowhere"), "root/inside".into()]
        {
            let refused = check(&both, &grant(&path, ""));
            assert!(matches!(refused, Err(AllowedDirError::Outside { .. })), "{}: {refused:?}", path.display());
        }
        assert!(matches!(check(&both, &grant(&root.join("nowhere"), "")), Err(AllowedDirError::Path { .. })));
        assert!(matches!(check(&[], &grant(&inside, "")), Err(AllowedDirError::Outside { .. })));
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn directory_that_is_not_there_cannot_be_allowed() {
        assert!(matches!("/no/where".parse::<AllowedDir>(), Err(AllowedDirError::Root { .. })));
    }
}
