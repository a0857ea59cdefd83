//! Maps paths in a container's volumes to their real folders.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which folders of the machine a container's mount paths stand for.
///
/// A real pod has a mount namespace, so there is none and every path is what it says. In the embedded
/// target a container is a task and an `exec` a process of the machine: a path at or below a mount path
/// is translated to the volume's folder, the longest mount path first. What merely starts with the same
/// letters (`/chatgpt-authX`), is part of a longer path (`/mnt/chatgpt-auth`, `$HOME/chatgpt-auth`,
/// `http://host/chatgpt-auth`) or is relative stays.
#[derive(Clone, Debug, Default)]
pub struct Mounts(Arc<[(String, String)]>);

impl Mounts {
    /// From mount paths, which are absolute, and the folders (or files, of a `subPath`) behind them.
    pub fn new(mounts: impl IntoIterator<Item = (String, PathBuf)>) -> Mounts {
        let mut all = Vec::new();
        for (mount, real) in mounts {
            let real = real.to_string_lossy().into_owned();
            // What is translated already stays so, also where the folders themselves lie below a mount path.
            all.push((real.clone(), real.clone()));
            all.push((mount.trim_end_matches('/').to_owned(), real));
        }
        all.retain(|(mount, _)| !mount.is_empty());
        all.sort_by_key(|(mount, _)| Reverse(mount.len()));
        Mounts(all.into())
    }

    /// The real path behind a path of the container; the same one where no volume is.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        let found = self
            .0
            .iter()
            .find_map(|(mount, real)| Some((Path::new(real), path.strip_prefix(mount).ok()?)));
        match found {
            // Joining nothing would add a slash, which no file may have at its end.
            Some((real, rest)) if rest.as_os_str().is_empty() => real.to_owned(),
            Some((real, rest)) => real.join(rest),
            None => path.to_owned(),
        }
    }

    /// A text, such as a word of a command or the value of a variable, with the paths in it translated.
    pub fn translate(&self, text: &str) -> String {
        let mut translated = String::with_capacity(text.len());
        let mut done = 0;
        for (at, _) in text.match_indices('/') {
            if at < done || text[..at].chars().next_back().is_some_and(goes_on_before) {
                continue;
            }
            let here = &text[at..];
            let found = self
                .0
                .iter()
                .find(|(mount, _)| here.strip_prefix(mount.as_str()).is_some_and(ends_here));
            if let Some((mount, real)) = found {
                translated.push_str(&text[done..at]);
                translated.push_str(real);
                done = at + mount.len();
            }
        }
        translated.push_str(&text[done..]);
        translated
    }
}

/// Whether a slash after this character goes on with a path that began before it.
fn goes_on_before(before: char) -> bool {
    // The closing ones are of shells: "${X}/y", "$(pwd)/y", "[ab]/y".
    before.is_alphanumeric() || "/._-~+%*?]})".contains(before)
}

/// Whether the name before `rest` ends there.
fn ends_here(rest: &str) -> bool {
    rest.chars()
        .next()
        .is_none_or(|next| !next.is_alphanumeric() && !"._-~+%@*?[{$".contains(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts() -> Mounts {
        let mount = |path: &str, real: &str| (path.to_owned(), PathBuf::from(real));
        Mounts::new([
            mount("/chatgpt-auth", "/run/v/auth"),
            mount("/chatgpt-auth/deep/", "/run/v/deep"),
            mount("/scripts", "/run/v/scripts"),
            mount("/run", "/elsewhere"),
            mount("/etc/one.conf", "/run/v/conf/one"),
        ])
    }

    #[test]
    fn paths_in_texts_are_translated() {
        for (text, expected) in [
            ("/chatgpt-auth", "/run/v/auth"),
            ("/chatgpt-auth/", "/run/v/auth/"),
            ("/chatgpt-auth/auth-1.json", "/run/v/auth/auth-1.json"),
            (
                "cat /chatgpt-auth/auth.json > /dev/null",
                "cat /run/v/auth/auth.json > /dev/null",
            ),
            (
                "cp /chatgpt-auth/a '/chatgpt-auth/b c';ls \"/scripts\"",
                "cp /run/v/auth/a '/run/v/auth/b c';ls \"/run/v/scripts\"",
            ),
            ("echo x>/chatgpt-auth/x&&ls", "echo x>/run/v/auth/x&&ls"),
            ("--dir=/chatgpt-auth", "--dir=/run/v/auth"),
            ("@/chatgpt-auth/rotate-now", "@/run/v/auth/rotate-now"),
            ("/bin:/scripts:/usr/bin", "/bin:/run/v/scripts:/usr/bin"),
            ("{\"dir\":\"/chatgpt-auth\"}", "{\"dir\":\"/run/v/auth\"}"),
            ("/chatgpt-auth\n/scripts", "/run/v/auth\n/run/v/scripts"),
            // The longest mount path first, also where one is below another.
            ("/chatgpt-auth/deep/x", "/run/v/deep/x"),
            ("/chatgpt-auth/deeper", "/run/v/auth/deeper"),
            ("/etc/one.conf", "/run/v/conf/one"),
            // A name that only starts so, and paths that only hold it.
            ("/chatgpt-authX", "/chatgpt-authX"),
            ("/chatgpt-auth-2/x", "/chatgpt-auth-2/x"),
            ("/chatgpt-auth.old", "/chatgpt-auth.old"),
            ("/chatgpt-auth$X /chatgpt-auth*", "/chatgpt-auth$X /chatgpt-auth*"),
            ("/mnt/chatgpt-auth/x", "/mnt/chatgpt-auth/x"),
            ("./chatgpt-auth ../chatgpt-auth", "./chatgpt-auth ../chatgpt-auth"),
            ("chatgpt-auth/x", "chatgpt-auth/x"),
            ("$HOME/chatgpt-auth", "$HOME/chatgpt-auth"),
            ("${X}/chatgpt-auth $(pwd)/scripts", "${X}/chatgpt-auth $(pwd)/scripts"),
            ("http://host/chatgpt-auth", "http://host/chatgpt-auth"),
            ("file:///chatgpt-auth", "file:///chatgpt-auth"),
            ("é/chatgpt-auth", "é/chatgpt-auth"),
            ("/ // /é", "/ // /é"),
            ("", ""),
            // What was translated is not translated again, though it lies below a mount path.
            ("/run/v/auth/x", "/run/v/auth/x"),
            ("/run/other", "/elsewhere/other"),
        ] {
            assert_eq!(mounts().translate(text), expected, "{text}");
            assert_eq!(mounts().translate(expected), expected, "{text} twice");
        }
        assert_eq!(Mounts::default().translate("/chatgpt-auth/x"), "/chatgpt-auth/x");
    }

    #[test]
    fn a_path_leads_to_its_folder() {
        for (path, expected) in [
            ("/chatgpt-auth", "/run/v/auth"),
            ("/chatgpt-auth/auth.json", "/run/v/auth/auth.json"),
            ("/chatgpt-auth/deep/x", "/run/v/deep/x"),
            ("/chatgpt-authX", "/chatgpt-authX"),
            ("/run/v/auth/x", "/run/v/auth/x"),
            ("relative", "relative"),
        ] {
            let real = mounts().path(path);
            assert_eq!(real.to_str(), Some(expected), "{path}");
            assert_eq!(mounts().path(&real), real, "{path} twice");
        }
        assert_eq!(
            Mounts::default().path("/chatgpt-auth").to_str(),
            Some("/chatgpt-auth"),
            "as in a real pod"
        );
    }
}
