//! The desktop shell: a window, dialogs, files.

pub mod store;
