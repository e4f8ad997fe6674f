//! Checkpoints: from files nobody vouches for to tensors of known name, shape and value.
//!
//! ```text
//! ModelFiles    a folder, bytes in memory, or files read piece by piece; no name leads out of it
//!   folder      on disk: symlinks, and the Hugging Face cache; formats: what is said of .bin and .gguf
//!   shards      which safetensors files belong together (one, an index's, loose ones)
//!   header      one file's table of tensors, every number checked against the file's length
//!   names       the four layouts' names, brought to one
//! Checkpoint    the tensors by canonical name: compared with what the config needs, then read one by one
//!   convert     f32, f16 and bf16 bytes to f32, or to f16 packed in pairs
//! ```
//!
//! Nothing is memory-mapped: a mapping needs `unsafe`, kills the process when the file is cut short under it, and
//! counts the pages it touched as the process's own. Tensors are read by position, a chunk at a time.

mod checkpoint;
mod convert;
mod file;
mod files;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod formats;
mod header;
mod names;
mod shards;
mod streamed;
#[cfg(test)]
mod testing;

pub use checkpoint::{Checkpoint, TensorInfo};
pub use file::{MemoryFiles, ModelFile, StreamedFiles};
pub use files::ModelFiles;
pub use names::Layout;
pub use safetensors::Dtype;
pub use streamed::{Piece, ReadPiece, StreamedFile};
