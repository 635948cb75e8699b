//! Our layers beside their peers.

pub mod alloc;
pub mod drive;
pub mod inbound;
pub mod measure;
pub mod outbound;
pub mod plot;
pub mod report;
pub mod tokens;
