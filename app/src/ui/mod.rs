//! The app as it is seen: egui views over [`State`](crate::state::State). A view reads the state and pushes
//! [`Action`](crate::state::Action)s; it changes nothing itself.

mod app;
mod blocks;
mod composer;
mod drop;
pub mod fonts;
mod models;
mod notices;
pub mod routing;
mod settings;
mod sidebar;
mod status;
mod textures;
mod theme;
mod thumbnail;
mod top_bar;
#[cfg(not(target_arch = "wasm32"))]
pub mod training;
mod transcript;
mod turn;
mod welcome;

pub use app::{App, Perform};
