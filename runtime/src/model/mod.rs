//! LLaVA-1.5: the vision tower, the projector, the language model, and how text and pictures become one sequence.

pub mod adapter;
mod clip;
pub mod config;
#[cfg(not(target_arch = "wasm32"))]
mod convert;
mod estimate;
mod init;
mod llama;
mod llava;
mod loader;
mod parameters;
mod projector;
mod random;

pub use clip::ClipVision;
pub use config::LlavaConfig;
#[cfg(not(target_arch = "wasm32"))]
pub use convert::convert;
pub use estimate::{MemoryEstimate, PREFILL_CHUNK, gigabytes};
pub use llama::{Llama, LlamaEnds, LlamaLayer, Packing, layer_name};
pub use llava::{Llava, TokenSpan, spans};
pub use loader::{LoadProgress, Loader, Precision};
pub use parameters::{ParameterVisitor, Parameters};
pub use projector::Projector;
pub use random::RandomWeights;
