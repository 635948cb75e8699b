//! Adapters to other crates.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "https")]
pub mod https;
#[cfg(feature = "reqwest")]
pub mod reqwest;
