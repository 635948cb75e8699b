//! The management of personal access tokens, as a client sees it.
