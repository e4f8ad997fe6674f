//! The desktop shell: a window, dialogs, files. Everything the app is stands in [`ui`](crate::ui) and
//! [`state`](crate::state).

mod dialogs;
pub mod store;
mod window;

pub use window::{Launch, has_display, run};
