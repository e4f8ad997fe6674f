//! The chat app in a page: a thin shell over `llava_mole`'s app. What the shell adds is what a page has instead of a
//! system: browser storage, file inputs, downloads, and `window.llavaMole` for the page's scripts.
//!
//! ```text
//! shell     starts everything, and is the app's window
//! host      what the page's script offers us (`page/start.js`): told when something is to be shown outside the canvas
//! inbox     the app's inbox, with the frame that has to follow
//! perform   carries out the app's effects
//! engine    the engine's events, on their way to the app
//! assets    fonts and sample pictures, fetched
//! demo      the demo model: fetched piece by piece, verified, kept
//! storage   the browser's database
//! history   conversations and choices in it
//! fetch     a file from beside the page
//! files     pictures and folders from file inputs and the clipboard; downloads
//! guest     questions of the page's scripts
//! ```
#![cfg(target_arch = "wasm32")]

mod assets;
mod demo;
mod engine;
mod fetch;
mod files;
mod guest;
mod history;
mod host;
mod inbox;
mod perform;
mod shell;
mod storage;

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the glue when the wasm file is there, before anything else.
#[wasm_bindgen(start)]
fn construct() {
    mole_runtime::device::page::start();
}
