//! The program as a whole, run as a user runs it: what it prints, where, and with which exit code.

mod adapter_faults;
mod adapters;
mod answers;
mod chat;
mod configs;
mod devices;
mod dumps;
mod fixture;
mod interrupts;
mod listings;
mod outputs;
mod pictures;
mod program;
mod prompts;
mod texts;
mod usage;
mod weights;
