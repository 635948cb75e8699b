//! Adapters to other crates.

#[cfg(feature = "axum")]
pub mod axum;
