//! The layers the model files are written with: parameters and a `forward` each.

mod dropout;
mod kv_cache;
mod linear;
mod lora;
mod mole;
mod norm;

pub use dropout::Noise;
pub use kv_cache::{KvCache, LayerKv};
pub use linear::Linear;
pub use lora::{Lora, LoraLinear};
pub use mole::{Decision, ExpertLora, Gating, MoleExperts, Routing};
pub use norm::{LayerNorm, RmsNorm};
