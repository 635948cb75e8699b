//! What text a database keeps: PostgreSQL has no zero byte, so that neither kind keeps one here.

use crate::error::BoxError;

/// False for a name that cannot be in the store: whoever asks for it learns that there is none.
pub(super) fn can_be_kept(name: &str) -> bool {
    !name.contains('\0')
}

pub(super) fn keep(names: &[&str]) -> Result<(), BoxError> {
    let fine = names.iter().all(|name| can_be_kept(name));
    if fine { Ok(()) } else { Err("a name must not have a zero byte".into()) }
}
