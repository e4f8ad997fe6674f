//! Files from beside the page, and from nowhere else: addresses are relative.

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCache, RequestInit, Response};

use crate::files::{window, words};

/// A file's bytes.
///
/// # Errors
/// In words, where the server does not answer or has no such file.
pub async fn fetch(address: &str, cache: RequestCache) -> Result<Vec<u8>, String> {
    let failed = |reason: JsValue| format!("{address}: {}", words(&reason));
    let options = RequestInit::new();
    options.set_cache(cache);
    let response = JsFuture::from(window().fetch_with_str_and_init(address, &options)).await.map_err(failed)?;
    let response: Response = response.unchecked_into();
    if !response.ok() {
        return Err(format!("{address}: the server answers {}", response.status()));
    }
    let buffer = response.array_buffer().map_err(failed)?;
    let buffer = JsFuture::from(buffer).await.map_err(failed)?;
    Ok(Uint8Array::new(&buffer).to_vec())
}
