use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::TokenSource;
use crate::credential::Scheme;
use crate::error::TokenError;
use crate::eventual::Eventual;
use crate::token::Token;

/// Kubernetes writes a new token into the file minutes before the old one ends.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Longer than any token that a server would read.
const MAX_BYTES: u64 = 64 * 1024;

/// A token in a file that somebody else keeps up to date, such as a projected service account token.
///
/// The file is read when a token is asked for, at most every 10 s, and at once after a refusal. If it cannot
/// be read, or has no token in it, the last good one stays. The read is a plain one: such a file is short
/// and local.
///
/// ```
/// use tower_bearer::Scheme;
/// use tower_bearer::source::{FileSource, TokenSource};
///
/// let path = std::env::temp_dir().join(format!("token-{}", std::process::id()));
/// std::fs::write(&path, "abc\n")?;
/// let source = FileSource::new(Scheme::Bearer, &path);
/// assert_eq!(source.token().try_now().unwrap().unwrap().expose(), "abc");
///
/// std::fs::remove_file(&path)?;
/// assert!(FileSource::new(Scheme::Bearer, &path).token().try_now().unwrap().is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FileSource {
    scheme: Scheme,
    path: PathBuf,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    token: Token,
    /// `None` if the file is to be read the next time.
    looked: Option<Instant>,
}

impl FileSource {
    /// Nothing is read yet.
    pub fn new(scheme: Scheme, path: impl Into<PathBuf>) -> Self {
        Self { scheme, path: path.into(), last: Mutex::new(None) }
    }

    fn read(&self) -> Result<Token, TokenError> {
        let failed = || TokenError::transient("the token file cannot be read");
        let mut bytes = Zeroizing::new(Vec::new());
        let read = File::open(&self.path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        match read {
            Err(error) => Err(failed().with_source(error)),
            Ok(_) if bytes.len() as u64 > MAX_BYTES => {
                Err(failed().with_source(io::Error::other("it is too long")))
            }
            Ok(_) => Token::new(self.scheme, bytes.trim_ascii()).map_err(|error| {
                TokenError::transient("the token file has no token in it").with_source(error)
            }),
        }
    }
}

impl TokenSource for FileSource {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_AGAIN_AFTER)
        {
            return Eventual::now(Ok(last.token.clone()));
        }
        let token = match (self.read(), last.take()) {
            (Ok(token), Some(old)) if token.header_value() == old.token.header_value() => old.token,
            (Ok(token), _) => token,
            (Err(_), Some(old)) => old.token,
            (Err(error), None) => return Eventual::now(Err(error)),
        };
        *last = Some(Last { token: token.clone(), looked: Some(now) });
        Eventual::now(Ok(token))
    }

    fn reject(&self, token: &Token) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_mut().filter(|last| last.token.is_same(token)) {
            last.looked = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::{FileSource, TokenSource};
    use crate::credential::Scheme;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("tower-bearer-{}-{name}", std::process::id())))
        }

        fn write(&self, text: &str) {
            std::fs::write(&self.0, text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn read(source: &FileSource) -> String {
        source.token().try_now().unwrap().unwrap().expose().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_token_is_found_and_the_last_good_one_kept() {
        let file = Scratch::new("kept");
        file.write("one\n");
        let source = FileSource::new(Scheme::Bearer, &file.0);
        assert_eq!(read(&source), "one");
        file.write("two");
        assert_eq!(read(&source), "one");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(read(&source), "two");
        for bad in ["", " \n", "a b", "a\nb"] {
            file.write(bad);
            tokio::time::advance(Duration::from_secs(10)).await;
            assert_eq!(read(&source), "two", "{bad:?}");
        }
        drop(file);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(read(&source), "two");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_looks_at_once_and_an_unchanged_file_is_the_same_token() {
        let file = Scratch::new("refused");
        file.write("one");
        let source = FileSource::new(Scheme::Bearer, &file.0);
        let one = source.token().try_now().unwrap().unwrap();
        source.reject(&one);
        assert!(source.token().try_now().unwrap().unwrap().is_same(&one));
        file.write("two");
        source.reject(&one);
        assert_eq!(read(&source), "two");
    }
}
