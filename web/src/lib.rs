//! The chat app in a page: a thin shell over `llava_mole::app`.
#![cfg(target_arch = "wasm32")]
