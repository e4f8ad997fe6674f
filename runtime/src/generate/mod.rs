//! From a prompt to a reply: prefill, then token by token on the static cache.

mod decode;
mod prompt;
mod session;

pub use decode::{GenerateParams, Generated, Progress, StopReason, Timings, generate};
pub use prompt::{Prompt, PromptImage, check_length};
pub use session::{Session, full_logits};
