//! From a prompt to a reply: prefill, then token by token on the static cache.

mod decode;
mod decoder;
mod prompt;
mod routing;
mod session;
mod steps;
#[cfg(not(target_arch = "wasm32"))]
mod warm_up;

pub use decode::{GenerateParams, Generated, Progress, StopReason, Timings, generate, generate_with_routing};
pub use decoder::{Decoder, Pending};
pub use prompt::{Position, Prompt, PromptImage, check_length};
pub use routing::RoutingRecord;
pub use session::{Session, full_logits, full_logits_with_routing};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use warm_up::warm_up;
