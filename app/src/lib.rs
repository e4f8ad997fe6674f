//! The chat app, for a window and for a page: the same state and the same views; only the shells differ.
//!
//! [`state`] is plain data: it takes [`Action`](state::Action)s from the views and [`Arrival`](state::Arrival)s from
//! outside, and hands out [`Effect`](state::Effect)s for a shell to carry out. [`ui`] draws it. Nothing here blocks, and
//! nothing is locked.

#[cfg(feature = "window")]
pub mod chat;
#[cfg(not(target_arch = "wasm32"))]
pub mod demo;
#[cfg(all(feature = "window", not(target_arch = "wasm32")))]
pub mod desktop;
pub mod language;
pub mod palette;
#[cfg(feature = "window")]
pub mod routing;
#[cfg(feature = "window")]
pub mod samples;
pub mod series;
#[cfg(feature = "window")]
mod spawn;
#[cfg(feature = "window")]
pub mod state;
#[cfg(all(feature = "window", not(target_arch = "wasm32")))]
pub mod training;
#[cfg(feature = "window")]
pub mod ui;
