//! The demo model: fetched piece by piece from beside the page, verified, and kept for the next start.
//!
//! `model/manifest.json` lists files and their pieces. A piece is named by its SHA-256 in storage and on the server, so
//! that a reload goes on where it was, and a newer model shares what did not change. What does not have its hash is
//! thrown away, wherever it came from.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use llava_mole::state::{Arrival, Demo};
use mole_runtime::engine::ModelSource;
use mole_runtime::weights::{MemoryFiles, ModelFiles};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use wasm_bindgen::JsValue;
use web_sys::RequestCache;

use crate::fetch::fetch;
use crate::inbox::Inbox;
use crate::storage::{Storage, Table};

const MANIFEST: &str = "model/manifest.json";

/// What there is to fetch.
#[derive(Deserialize)]
struct Manifest {
    model: Vec<Listed>,
    adapter: Vec<Listed>,
}

/// A file in pieces.
#[derive(Deserialize)]
struct Listed {
    name: String,
    pieces: Vec<Piece>,
}

/// Up to 512 KiB of a file.
#[derive(Deserialize)]
struct Piece {
    bytes: u64,
    sha256: String,
}

/// Gets the demo model, from storage where it is there, and tells the app how far it is.
///
/// # Errors
/// In words for the person, where it cannot be fetched.
pub async fn get(storage: Option<Rc<Storage>>, inbox: &Inbox) -> Result<(), String> {
    let bytes = fetch(MANIFEST, RequestCache::NoCache).await?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let pieces = || manifest.model.iter().chain(&manifest.adapter).flat_map(|file| &file.pieces);
    let mut download = Download {
        storage: storage.clone(),
        inbox,
        done_bytes: 0,
        total_bytes: pieces().map(|piece| piece.bytes).sum(),
    };
    download.tell();
    let model = download.files("the demo model", &manifest.model).await?;
    let adapter = download.files("the demo experts", &manifest.adapter).await?;
    inbox.arrive(Arrival::Demo(Demo { model, adapter }));
    if let Some(storage) = storage {
        let listed = |key: &JsValue| pieces().any(|piece| key.as_string().as_deref() == Some(&piece.sha256));
        let mut old = storage.keys(Table::Pieces).await.unwrap_or_default();
        old.retain(|key| !listed(key));
        // Those of a model before: what stays takes room, and does no harm.
        let _ = storage.delete(Table::Pieces, old).await;
    }
    Ok(())
}

struct Download<'a> {
    /// None where nothing can be kept, or nothing more.
    storage: Option<Rc<Storage>>,
    inbox: &'a Inbox,
    done_bytes: u64,
    total_bytes: u64,
}

impl Download<'_> {
    fn tell(&self) {
        let Self { done_bytes, total_bytes, .. } = *self;
        self.inbox.arrive(Arrival::Downloading { done_bytes, total_bytes });
    }

    async fn files(&mut self, name: &str, listed: &[Listed]) -> Result<ModelSource, String> {
        let mut files = MemoryFiles::new();
        for file in listed {
            let bytes: u64 = file.pieces.iter().map(|piece| piece.bytes).sum();
            let mut whole = Vec::with_capacity(bytes as usize);
            for piece in &file.pieces {
                whole.extend(self.piece(piece).await?);
                self.done_bytes += piece.bytes;
                self.tell();
            }
            files.insert(file.name.clone(), Cow::Owned(whole));
        }
        Ok(ModelSource::Files(Arc::new(ModelFiles::from_memory(name, files)), name.to_string()))
    }

    async fn piece(&mut self, piece: &Piece) -> Result<Vec<u8>, String> {
        if let Some(storage) = &self.storage
            && let Ok(Some(bytes)) = storage.bytes(Table::Pieces, &piece.sha256).await
            && piece.is(&bytes)
        {
            return Ok(bytes);
        }
        let bytes = piece.fetch().await?;
        if let Some(storage) = &self.storage
            && let Err(reason) = storage.put_bytes(Table::Pieces, &piece.sha256, &bytes).await
        {
            // What does not fit now will not fit for the next piece either.
            self.storage = None;
            self.inbox.error(
                format!(
                    "The model cannot be kept in this browser and will be fetched again next time ({reason}). Free \
                     storage, or allow this page to keep data."
                ),
                format!("浏览器无法保存模型，下次需要重新下载（{reason}）。请释放存储空间，或允许此页面保存数据。"),
            );
        }
        Ok(bytes)
    }
}

impl Piece {
    fn is(&self, bytes: &[u8]) -> bool {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        digest == self.sha256
    }

    /// From the server. A wrong one may be a cache's or a proxy's fault: it is fetched once more, past all caches.
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let address = format!("model/{}.bin", self.sha256);
        let bytes = match fetch(&address, RequestCache::Default).await {
            Ok(bytes) if self.is(&bytes) => return Ok(bytes),
            _ => fetch(&address, RequestCache::Reload).await?,
        };
        match self.is(&bytes) {
            true => Ok(bytes),
            false => Err(format!("{address} is not what {MANIFEST} says: its SHA-256 is another")),
        }
    }
}
