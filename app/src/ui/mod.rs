//! The app as it is seen: egui views over [`State`](crate::state::State). A view reads the state and pushes
//! [`Action`](crate::state::Action)s; it changes nothing itself.

mod app;
mod fonts;
mod models;
mod routing;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
mod training;

pub use app::{App, Perform};
