//! The manual: every default and its reason, known attacks and what meets them, and deployment.
//!
//! These modules hold no code.

pub mod attacks;
pub mod defaults;
pub mod deployment;
