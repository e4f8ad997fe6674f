//! LLaVA-1.5: the vision tower, the projector, the language model, and how text and pictures become one sequence.

mod clip;
pub mod config;
mod estimate;
mod llama;
mod llava;
mod loader;
mod projector;

pub use clip::ClipVision;
pub use config::LlavaConfig;
pub use estimate::{MemoryEstimate, PREFILL_CHUNK, gigabytes};
pub use llama::Llama;
pub use llava::{Llava, TokenSpan, spans};
pub use loader::{LoadProgress, Loader, Precision};
pub use projector::Projector;
