//! The layers the model files are written with: parameters and a `forward` each.

mod kv_cache;
mod linear;
mod norm;

pub use kv_cache::{KvCache, LayerKv};
pub use linear::Linear;
pub use norm::{LayerNorm, RmsNorm};
