//! The chat app: its state by itself, and its views as a person uses them, through egui's kittest.
//!
//! The engine is either the real one with the demo model, on the CPU, or a script: then a test says what the engine tells
//! and sees what it is given.

mod access;
mod answers;
mod history;
mod models;
mod pictures;
mod scripted;
mod size;
mod snapshots;
mod stage;
mod writing;
