//! The folder that all containers of the pod share: its files are read with care, and replaced whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::super::Pod;
use crate::file_input::{self, Refusal};

/// The login that LiteLLM uses.
pub const AUTH: &str = "auth.json";
/// What LiteLLM's callback writes at a 429 of a codex model.
pub const SIGNAL: &str = "rotate-now";
/// The rotator's state.
pub const STATE: &str = "rotator_state.json";

/// The mode of a file with a login.
pub const PRIVATE: u32 = 0o600;

/// The longest file of the folder that is read: a login has a few KB.
const LONGEST: u64 = 64 * 1024;

/// What temporary files and folders begin with: no component reads a file by such a name.
const TEMPORARY: &str = ".tmp-";
const HOME: &str = ".login-";

/// A write takes less; what is older was left by something that is gone.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Why a file of the folder isn't read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{said}")]
    System {
        /// The error in words.
        said: String,
        source: io::Error,
    },
    #[error("is a link that leads out of the folder")]
    LeadsOut,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl ReadError {
    fn system(path: &Path, source: io::Error) -> ReadError {
        ReadError::System {
            said: file_input::because(path, &source),
            source,
        }
    }
}

#[derive(Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// That of `CHATGPT_AUTH_DIR`.
    pub fn of(pod: &Pod) -> Folder {
        Folder(PathBuf::from(pod.var_or("CHATGPT_AUTH_DIR", "/chatgpt-auth")))
    }

    pub fn at(path: impl Into<PathBuf>) -> Folder {
        Folder(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All of a file; none where there is nothing by its name.
    ///
    /// # Errors
    /// It is no regular file, too long, or a link that leads out of the folder.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let path = self.0.join(name);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReadError::system(&path, error)),
            Ok(found) if found.is_symlink() => self.within(&path)?,
            Ok(_) => {}
        }
        match file_input::read(&path, LONGEST) {
            Ok(bytes) => Ok(Some(bytes)),
            // It went between the look and the reading.
            Err(_) if fs::symlink_metadata(&path).is_err() => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// A link is followed only within the folder: whoever can write here must not have other files read.
    fn within(&self, path: &Path) -> Result<(), ReadError> {
        let real = |path: &Path| fs::canonicalize(path).map_err(|error| ReadError::system(path, error));
        match real(path)?.starts_with(real(&self.0)?) {
            true => Ok(()),
            false => Err(ReadError::LeadsOut),
        }
    }

    /// Whether there is anything by that name.
    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.0.join(name)).is_ok()
    }

    /// Replaces a file as a whole: whoever reads sees the old one or the new one, also when the writer is killed.
    /// A power cut may lose it: use it for what is written anew at every start.
    pub async fn replace(&self, name: &str, bytes: Vec<u8>, mode: u32) -> io::Result<()> {
        let (folder, name) = (self.0.clone(), name.to_owned());
        apart(move || replace(&folder, &name, &bytes, mode, Survives::Kill)).await
    }

    /// Like [`Folder::replace`], but the file also survives a power cut: for logins, whose refresh token works only once.
    pub async fn replace_durably(&self, name: &str, bytes: Vec<u8>, mode: u32) -> io::Result<()> {
        let (folder, name) = (self.0.clone(), name.to_owned());
        apart(move || replace(&folder, &name, &bytes, mode, Survives::PowerCut)).await
    }

    /// Removes what is by a name, a folder too; nothing there is no error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.0.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// An open file to hold a lock on; it has nothing in it.
    pub fn lock_file(&self, name: &str) -> io::Result<File> {
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(self.0.join(name))
    }

    /// A fresh folder for one login, which nobody else may look into; it goes when it is dropped.
    pub fn home(&self) -> io::Result<Home> {
        let folder = tempfile::Builder::new()
            .prefix(HOME)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&self.0)?;
        let held = File::open(folder.path())?;
        flock(&held, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Home { folder, _held: held })
    }

    /// Removes what logins and writes that never ended have left. A login that was killed holds no lock any more.
    pub fn sweep(&self) -> io::Result<Vec<String>> {
        let mut removed = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(TEMPORARY) && !name.starts_with(HOME) {
                continue;
            }
            let is_old = entry.metadata().and_then(|found| found.modified()).is_ok_and(|at| {
                let age = SystemTime::now().duration_since(at);
                age.is_ok_and(|age| age > LEFT_OVER)
            });
            let is_held = || {
                let lock = |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive).is_err();
                name.starts_with(HOME) && File::open(entry.path()).is_ok_and(|file| lock(&file))
            };
            if is_old && !is_held() {
                self.remove(&name)?;
                removed.push(name);
            }
        }
        Ok(removed)
    }
}

/// A folder that is there for as long as its login is being made.
pub struct Home {
    folder: tempfile::TempDir,
    /// Locked, also from other processes, until this one ends.
    _held: File,
}

impl Home {
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it.
    pub fn close(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// Runs what waits for the disk where it keeps nobody waiting.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// What a replaced file survives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Survives {
    Kill,
    /// Waits for the disk, which takes milliseconds, and far longer while others write.
    PowerCut,
}

fn replace(folder: &Path, name: &str, bytes: &[u8], mode: u32, survives: Survives) -> io::Result<()> {
    // In the same folder: a rename replaces a file at once only within one file system.
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Not as it is made: the umask has a say there.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    if survives == Survives::PowerCut {
        file.as_file().sync_all()?;
    }
    // It is closed first: a watcher is told of no write by the name that readers know.
    let whole = file.into_temp_path();
    whole.persist(folder.join(name)).map_err(|error| error.error)?;
    if survives == Survives::PowerCut {
        // The new name too. Some file systems can't sync a folder; the file is whole already.
        let _unsupported = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_sees_no_half_file() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(temporary.path());
        let contents = |turn: usize| format!("{turn}:{}", "x".repeat(1000 + turn * 37)).into_bytes();
        folder.replace(AUTH, contents(0), PRIVATE).await.expect("written");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) || seen == 0 {
                    let bytes = folder.read(AUTH).expect("readable").expect("there");
                    let text = String::from_utf8(bytes).expect("text");
                    let (turn, _) = text.split_once(':').expect("whole");
                    assert_eq!(text.as_bytes(), contents(turn.parse().expect("a number")));
                    seen += 1;
                }
            });
            for turn in 1..=200 {
                replace(folder.path(), AUTH, &contents(turn), PRIVATE, Survives::Kill).expect("written");
            }
            done.store(true, Ordering::Relaxed);
            reader.join().expect("every file was whole");
        });
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[tokio::test]
    async fn a_replaced_file_is_another_one_with_its_mode() {
        use std::os::unix::fs::MetadataExt;
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(temporary.path());
        let look = || fs::metadata(temporary.path().join(AUTH)).expect("there");
        folder.replace(AUTH, b"1".to_vec(), 0o644).await.expect("written");
        assert_eq!(look().mode() & 0o7777, 0o644);
        let before = File::open(temporary.path().join(AUTH)).expect("opened");
        folder.replace(AUTH, b"2".to_vec(), PRIVATE).await.expect("written");
        assert_eq!(look().mode() & 0o7777, PRIVATE);
        assert_ne!(before.metadata().expect("open").ino(), look().ino());
    }

    #[test]
    fn only_files_of_the_folder_are_read() {
        let temporary = tempfile::tempdir().expect("a folder");
        let outside = temporary.path().join("outside");
        fs::write(&outside, "secret").expect("written");
        let path = temporary.path().join("volume");
        fs::create_dir(&path).expect("made");
        let folder = Folder::at(&path);
        assert_eq!(folder.read("none").expect("nothing is no error"), None);
        std::os::unix::fs::symlink(&outside, path.join("link")).expect("made");
        assert!(matches!(folder.read("link"), Err(ReadError::LeadsOut)));
        fs::write(path.join("own"), "own").expect("written");
        std::os::unix::fs::symlink("own", path.join("inner")).expect("made");
        assert_eq!(folder.read("inner").expect("read"), Some(b"own".to_vec()));
        std::os::unix::fs::symlink("nothing", path.join("dangling")).expect("made");
        assert!(folder.read("dangling").is_err());
        fs::create_dir(path.join("folder")).expect("made");
        assert!(
            folder
                .read("folder")
                .is_err_and(|why| why.to_string().contains("folder"))
        );
        fs::write(path.join("huge"), vec![b'x'; LONGEST as usize + 1]).expect("written");
        assert!(folder.read("huge").is_err_and(|why| why.to_string().contains("bytes")));
        folder.remove("folder").expect("removed");
        folder.remove("link").expect("removed");
        folder.remove("none").expect("nothing to remove");
        assert!(outside.exists() && !folder.has("link") && !folder.has("folder"));
    }

    #[test]
    fn a_login_under_way_is_not_swept_away() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(temporary.path());
        let home = folder.home().expect("made");
        let mode = fs::metadata(home.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        let age = |path: &Path| {
            let long_ago = SystemTime::now() - 2 * LEFT_OVER;
            File::open(path)
                .and_then(|file| file.set_modified(long_ago))
                .expect("aged");
        };
        age(home.path());
        assert_eq!(folder.sweep().expect("swept"), Vec::<String>::new());
        let (old, killed) = (
            temporary.path().join(".tmp-old"),
            temporary.path().join(".login-killed"),
        );
        fs::write(&old, "half").expect("written");
        fs::create_dir(&killed).expect("made");
        age(&old);
        age(&killed);
        let mut swept = folder.sweep().expect("swept");
        swept.sort();
        assert_eq!(swept, [".login-killed", ".tmp-old"]);
        assert!(home.path().exists());
        let path = home.path().to_owned();
        home.close().expect("removed");
        assert!(!path.exists());
    }
}
