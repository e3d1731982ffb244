//! `wasi:filesystem` in the ledger: wasmtime-wasi's own implementation does the work but for opening, listing and setting
//! times by path, where it could wait for ever or hold without end.

use std::sync::Arc;

use rustix::fs::{AtFlags, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, File, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode,
    HostDescriptor, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use crate::budget::Files;
use crate::calls::{Trap as _, pass_on};
use crate::file_streams::{Reader, Writer};
use crate::listing::Listing;
use crate::opening::{self, Found, Wish, blocking, check_path, directory, file};
use crate::state::{Inner, State};

/// What is not there and yet cannot be made is looked up again, at most so often: somebody else makes and removes it.
const TRIES: usize = 4;

/// Adds `wasi:filesystem`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    preopens::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl preopens::Host for State {
    fn get_directories(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        let Self { inner, calls, files, .. } = self;
        calls.call("wasi:filesystem/preopens.get-directories", 0, || {
            let directories = preopens::Host::get_directories(&mut inner.filesystem())?;
            directories.iter().for_each(|(descriptor, guest)| files.preopened(descriptor.rep(), guest));
            wasmtime::Result::Ok(directories)
        })
    }
}

impl types::Host for State {
    fn convert_error_code(&mut self, error: FsError) -> Result<ErrorCode> {
        error.downcast()
    }

    pass_on! { types::Host, filesystem;
        "wasi:filesystem/types.filesystem-error-code"
            fn filesystem_error_code(error: Resource<wasmtime::Error>) -> Result<Option<ErrorCode>>;
    }
}

/// Opens what is there or makes what is not, one of the two.
async fn open(
    inner: &mut Inner,
    files: &mut Files,
    from: &Resource<Descriptor>,
    path: &str,
    wish: Wish,
) -> FsResult<Resource<Descriptor>> {
    let makes = wish.open.contains(OpenFlags::CREATE);
    let links = if wish.follow { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
    for _ in 0..TRIES {
        let dir = directory(inner.table().get(from)?)?.clone();
        wish.check(dir.perms)?;
        let borrowed = || Resource::new_borrow(from.rep());
        match opening::open(&dir, path, wish).await? {
            Found::Opened(descriptor) => return Ok(inner.table().push(descriptor)?),
            Found::Missing if makes => {
                files.make().map_err(FsError::halted)?;
                let wish = Wish { open: wish.open | OpenFlags::EXCLUSIVE, ..wish };
                let view = &mut inner.filesystem();
                match view.open_at(borrowed(), links, path.to_owned(), wish.open, wish.flags).await {
                    Err(error) if matches!(error.downcast_ref(), Some(ErrorCode::Exist)) => {}
                    made => return made,
                }
            }
            Found::Missing => return Err(ErrorCode::NoEntry.into()),
            Found::Unknown => {
                if makes {
                    files.make().map_err(FsError::halted)?;
                }
                let view = &mut inner.filesystem();
                if let Ok(stat) = view.stat_at(borrowed(), links, path.to_owned()).await {
                    refuse_special(stat.type_)?;
                }
                return view.open_at(borrowed(), links, path.to_owned(), wish.open, wish.flags).await;
            }
        }
    }
    Err(ErrorCode::Exist.into())
}

/// By how much a file that may be written grows if so much is written there.
async fn growth(file: &File, offset: u64, bytes: u64) -> FsResult<u64> {
    if file.perms.write_not_permitted() {
        return Err(ErrorCode::NotPermitted.into());
    }
    let file = Arc::clone(&file.file);
    let before = blocking(move || file.metadata().map(|metadata| metadata.len())).await?;
    Ok(offset.saturating_add(bytes).saturating_sub(before))
}

/// A file's length as far as this machine knows it: no server is asked, so that nothing waits.
fn known_length(file: &File) -> u64 {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(&file.file, "", flags, StatxFlags::SIZE).map_or(0, |stat| stat.stx_size)
}

fn refuse_special(kind: DescriptorType) -> FsResult<()> {
    match kind {
        DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink => Ok(()),
        _ => Err(ErrorCode::NotPermitted.into()),
    }
}

fn timespec(time: NewTimestamp) -> FsResult<Timespec> {
    let special = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    Ok(match time {
        NewTimestamp::NoChange => special(UTIME_OMIT),
        NewTimestamp::Now => special(UTIME_NOW),
        NewTimestamp::Timestamp(time) if time.nanoseconds < 1_000_000_000 => {
            let tv_sec = i64::try_from(time.seconds).map_err(|_| FsError::from(ErrorCode::Overflow))?;
            Timespec { tv_sec, tv_nsec: time.nanoseconds.into() }
        }
        NewTimestamp::Timestamp(_) => return Err(ErrorCode::Invalid.into()),
    })
}

impl HostDescriptor for State {
    pass_on! { HostDescriptor, filesystem;
        "wasi:filesystem/types.descriptor.advise"
            async fn advise(fd: Resource<Descriptor>, offset: u64, len: u64, advice: Advice) -> FsResult<()>;
        "wasi:filesystem/types.descriptor.sync-data" async fn sync_data(fd: Resource<Descriptor>) -> FsResult<()>;
        "wasi:filesystem/types.descriptor.sync" async fn sync(fd: Resource<Descriptor>) -> FsResult<()>;
        "wasi:filesystem/types.descriptor.get-flags"
            async fn get_flags(fd: Resource<Descriptor>) -> FsResult<DescriptorFlags>;
        "wasi:filesystem/types.descriptor.get-type"
            async fn get_type(fd: Resource<Descriptor>) -> FsResult<DescriptorType>;
        "wasi:filesystem/types.descriptor.set-times"
            async fn set_times(fd: Resource<Descriptor>, atim: NewTimestamp, mtim: NewTimestamp) -> FsResult<()>;
        "wasi:filesystem/types.descriptor.read"
            async fn read(fd: Resource<Descriptor>, len: u64, offset: u64) -> FsResult<(Vec<u8>, bool)>;
        "wasi:filesystem/types.descriptor.stat" async fn stat(fd: Resource<Descriptor>) -> FsResult<DescriptorStat>;
        "wasi:filesystem/types.descriptor.stat-at"
            async fn stat_at(fd: Resource<Descriptor>, flags: PathFlags, path: String) -> FsResult<DescriptorStat>,
            moves path.len();
        "wasi:filesystem/types.descriptor.readlink-at"
            async fn readlink_at(fd: Resource<Descriptor>, path: String) -> FsResult<String>, moves path.len();
        "wasi:filesystem/types.descriptor.remove-directory-at"
            async fn remove_directory_at(fd: Resource<Descriptor>, path: String) -> FsResult<()>, moves path.len();
        "wasi:filesystem/types.descriptor.rename-at"
            async fn rename_at(fd: Resource<Descriptor>, old: String, to: Resource<Descriptor>, new: String) -> FsResult<()>,
            moves old.len() + new.len();
        "wasi:filesystem/types.descriptor.unlink-file-at"
            async fn unlink_file_at(fd: Resource<Descriptor>, path: String) -> FsResult<()>, moves path.len();
        "wasi:filesystem/types.descriptor.is-same-object"
            async fn is_same_object(one: Resource<Descriptor>, other: Resource<Descriptor>) -> Result<bool>;
        "wasi:filesystem/types.descriptor.metadata-hash"
            async fn metadata_hash(fd: Resource<Descriptor>) -> FsResult<MetadataHashValue>;
        "wasi:filesystem/types.descriptor.metadata-hash-at" async fn metadata_hash_at(
            fd: Resource<Descriptor>, flags: PathFlags, path: String
        ) -> FsResult<MetadataHashValue>, moves path.len();
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let (Self { inner, calls, interrupt, files, .. }, bytes) = (self, path.len());
        let work = async move {
            check_path(&path)?;
            let counted = files.open().map_err(FsError::halted)?;
            let wish = Wish { follow: links.contains(PathFlags::SYMLINK_FOLLOW), open: open_flags, flags };
            let descriptor = open(inner, files, &fd, &path, wish).await?;
            files.opened(descriptor.rep(), fd.rep(), counted);
            Ok(descriptor)
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.open-at", bytes, work).await
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> Result<()> {
        let Self { inner, calls, files, .. } = self;
        calls.call("wasi:filesystem/types.descriptor.drop", 0, || {
            files.closed(fd.rep());
            HostDescriptor::drop(&mut inner.filesystem(), fd)
        })
    }

    async fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let (Self { inner, calls, interrupt, files, .. }, bytes) = (self, path.len());
        let work = async move {
            files.make().map_err(FsError::halted)?;
            inner.filesystem().create_directory_at(fd, path).await
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.create-directory-at", bytes, work).await
    }

    async fn symlink_at(&mut self, fd: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        let (Self { inner, calls, interrupt, files, .. }, bytes) = (self, path.len() + target.len());
        let work = async move {
            files.make().map_err(FsError::halted)?;
            inner.filesystem().symlink_at(fd, target, path).await
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.symlink-at", bytes, work).await
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        old: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        let (Self { inner, calls, interrupt, files, .. }, bytes) = (self, old.len() + new.len());
        let work = async move {
            files.make().map_err(FsError::halted)?;
            inner.filesystem().link_at(fd, links, old, to, new).await
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.link-at", bytes, work).await
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        path: String,
        atim: NewTimestamp,
        mtim: NewTimestamp,
    ) -> FsResult<()> {
        let (Self { inner, calls, interrupt, .. }, bytes) = (self, path.len());
        let work = async move {
            check_path(&path)?;
            let dir = directory(inner.table().get(&fd)?)?.clone();
            if links.contains(PathFlags::SYMLINK_FOLLOW) && !dir.perms.write_not_permitted() {
                let times = Timestamps { last_access: timespec(atim)?, last_modification: timespec(mtim)? };
                if opening::set_times(&dir, &path, times).await? {
                    return Ok(());
                }
                let stat = inner.filesystem().stat_at(Resource::new_borrow(fd.rep()), links, path.clone()).await?;
                refuse_special(stat.type_)?;
            }
            inner.filesystem().set_times_at(fd, links, path, atim, mtim).await
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.set-times-at", bytes, work).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: u64) -> FsResult<()> {
        let Self { inner, calls, interrupt, files, .. } = self;
        let work = async move {
            let opened = file(inner.table().get(&fd)?)?;
            if opened.perms.write_not_permitted() {
                return Err(ErrorCode::NotPermitted.into());
            }
            let opened = Arc::clone(&opened.file);
            let before = blocking(move || opened.metadata().map(|metadata| metadata.len())).await?;
            files.account(fd.rep()).charge(size.saturating_sub(before)).map_err(FsError::halted)?;
            inner.filesystem().set_size(fd, size).await
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.set-size", 0, work).await
    }

    async fn write(&mut self, fd: Resource<Descriptor>, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let (Self { inner, calls, interrupt, files, .. }, moved) = (self, bytes.len());
        let work = async move {
            let (grows, moved) = (growth(file(inner.table().get(&fd)?)?, offset, moved as u64).await?, moved as u64);
            let account = files.account(fd.rep());
            // A hole before what is written takes blocks of the disk, too, as soon as something is in it.
            let charged = grows.max(moved);
            account.charge(charged).map_err(FsError::halted)?;
            let written = inner.filesystem().write(fd, bytes, offset).await;
            match &written {
                Err(_) => account.give_back(charged),
                Ok(written) if charged == moved => account.give_back(moved - (*written).min(moved)),
                Ok(_) => {}
            }
            written
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.write", moved, work).await
    }

    async fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let Self { inner, calls, interrupt, files, .. } = self;
        let work = async move {
            let dir = Arc::clone(&directory(inner.table().get(&fd)?)?.dir);
            let listing = Listing::of(dir, files.open().map_err(FsError::halted)?).await?;
            Ok(Resource::new_own(inner.table().push(listing)?.rep()))
        };
        calls.wait(interrupt, "wasi:filesystem/types.descriptor.read-directory", 0, work).await
    }

    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let Self { inner, calls, files, .. } = self;
        calls.call("wasi:filesystem/types.descriptor.read-via-stream", 0, || {
            let open = files.open().map_err(FsError::halted)?;
            let stream = inner.filesystem().read_via_stream(fd, offset)?;
            let reader = Reader { inner: inner.table().delete(stream)?, _open: open };
            Ok(inner.table().push(Box::new(reader) as DynInputStream)?)
        })
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        let Self { inner, calls, files, .. } = self;
        calls.call("wasi:filesystem/types.descriptor.write-via-stream", 0, || {
            let rep = fd.rep();
            let gap = file(inner.table().get(&fd)?).map_or(0, |file| offset.saturating_sub(known_length(file)));
            files.account(rep).charge(gap).map_err(FsError::halted)?;
            counted(inner, files, rep, |inner| inner.filesystem().write_via_stream(fd, offset))
        })
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        let Self { inner, calls, files, .. } = self;
        calls.call("wasi:filesystem/types.descriptor.append-via-stream", 0, || {
            let rep = fd.rep();
            counted(inner, files, rep, |inner| inner.filesystem().append_via_stream(fd))
        })
    }
}

/// Puts a counting stream in the place of a file's own.
fn counted(
    inner: &mut Inner,
    files: &Files,
    descriptor: u32,
    make: impl FnOnce(&mut Inner) -> FsResult<Resource<DynOutputStream>>,
) -> FsResult<Resource<DynOutputStream>> {
    let (open, account) = (files.open().map_err(FsError::halted)?, files.account(descriptor));
    let stream = make(inner)?;
    let writer = Writer { inner: inner.table().delete(stream)?, account, _open: open };
    Ok(inner.table().push(Box::new(writer) as DynOutputStream)?)
}

impl types::HostDirectoryEntryStream for State {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let Self { inner, calls, interrupt, .. } = self;
        let work = async move { inner.table().get_mut(&listing(&stream))?.next().await };
        calls.wait(interrupt, "wasi:filesystem/types.directory-entry-stream.read-directory-entry", 0, work).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> Result<()> {
        let Self { inner, calls, .. } = self;
        calls.call("wasi:filesystem/types.directory-entry-stream.drop", 0, || {
            inner.table().delete(Resource::<Listing>::new_own(stream.rep()))?;
            wasmtime::Result::Ok(())
        })
    }
}

/// What stands in the table for such a stream.
fn listing(stream: &Resource<DirectoryEntryStream>) -> Resource<Listing> {
    Resource::new_borrow(stream.rep())
}

#[cfg(test)]
mod tests;
