//! LLaVA-1.5 with a mixture of LoRA experts, on WebGPU and on the CPU.
//!
//! Layers, each using only those before it: [`ops`] (operations with a composed body, a WGSL body and a gradient), [`nn`]
//! (layers), [`model`] (the model files), then side by side [`generate`] (replies), [`train`] (finetuning) and [`eval`]
//! (scores), and on top `bench` (what all of it costs; native alone) and [`engine`] (commands in, events out). Beside them
//! [`device`], [`packed`] (small weights), [`weights`], [`image`], [`text`] and [`data`] (datasets). ARCHITECTURE.md is the
//! map.
#![recursion_limit = "256"]

#[cfg(not(target_arch = "wasm32"))]
pub mod bench;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
pub mod eval;
pub mod generate;
pub mod image;
pub mod model;
pub mod nn;
pub mod ops;
pub mod packed;
pub mod text;
pub mod train;
pub mod weights;

pub use error::{Error, Result};
