//! Files: chosen with file inputs, pasted, and saved as downloads.

use std::io;
use std::sync::Arc;

use js_sys::{Array, Uint8Array};
use llava_mole::state::{Arrival, Slot};
use mole_runtime::engine::{ModelSource, Picture};
use mole_runtime::weights::{ModelFiles, ReadPiece, StreamedFile, StreamedFiles};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, ClipboardEvent, Document, File, FileList, HtmlAnchorElement, HtmlInputElement, Url};

use crate::inbox::Inbox;

/// Kinds of pictures that are read.
const PICTURES: &str = "image/png,image/jpeg,image/webp";
/// A picture's file beyond this is none that a person means to send.
const MAX_PICTURE_BYTES: f64 = (256 << 20) as f64;
/// A download's address is good for so long.
const DOWNLOAD_MS: i32 = 60_000;

/// Lets the person choose pictures.
pub fn pick_pictures(inbox: &Inbox) {
    let inbox = inbox.clone();
    pick(
        |input| {
            input.set_accept(PICTURES);
            input.set_multiple(true);
        },
        move |files| spawn_local(async move { take_pictures(files, &inbox).await }),
    );
}

/// Takes pictures that are pasted. egui hands out pasted text, and nothing else.
pub fn watch_paste(inbox: &Inbox) {
    let inbox = inbox.clone();
    let on_paste = Closure::<dyn FnMut(ClipboardEvent)>::new(move |event: ClipboardEvent| {
        let files = event.clipboard_data().and_then(|data| data.files());
        let mut files = files.map(list).unwrap_or_default();
        files.retain(|file| PICTURES.split(',').any(|kind| file.type_() == kind));
        if !files.is_empty() {
            let inbox = inbox.clone();
            spawn_local(async move { take_pictures(files, &inbox).await });
        }
    });
    // Without a document there is nothing to paste into.
    let _ = document().add_event_listener_with_callback("paste", on_paste.as_ref().unchecked_ref());
    on_paste.forget();
}

async fn take_pictures(files: Vec<File>, inbox: &Inbox) {
    let mut pictures = Vec::new();
    for file in files {
        let name = file.name();
        if file.size() > MAX_PICTURE_BYTES {
            inbox.error(
                format!("{name} has more than 256 MiB and was left out; choose a smaller picture"),
                format!("{name} 超过 256 MiB，未添加；请选择较小的图片"),
            );
            continue;
        }
        match read(&file).await {
            Ok(bytes) => pictures.push(Picture { name, bytes: bytes.into() }),
            Err(reason) => inbox.error(
                format!("{name} cannot be read ({reason}); choose it again"),
                format!("无法读取 {name}（{reason}）；请重新选择"),
            ),
        }
    }
    if !pictures.is_empty() {
        inbox.arrive(Arrival::Pictures(pictures));
    }
}

/// Lets the person choose a checkpoint's or an adapter's folder.
pub fn pick_folder(slot: Slot, inbox: &Inbox) {
    let inbox = inbox.clone();
    pick(
        |input| input.set_webkitdirectory(true),
        move |files| {
            spawn_local(async move {
                match folder(files).await {
                    Ok(source) => inbox.arrive(Arrival::Folder(slot, source)),
                    Err(reason) => inbox.error(
                        format!("the folder cannot be read ({reason}); choose it again"),
                        format!("无法读取文件夹（{reason}）；请重新选择"),
                    ),
                }
            });
        },
    );
}

/// The chosen folder's files, by their names within it. They are read when the model is loaded, piece by piece: a
/// checkpoint is larger than a page's memory.
async fn folder(files: Vec<File>) -> Result<ModelSource, String> {
    let mut folder = "folder".to_string();
    let mut found = StreamedFiles::new();
    for file in files {
        let path = js_sys::Reflect::get(&file, &"webkitRelativePath".into()).ok().and_then(|path| path.as_string());
        let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| file.name());
        let name = match path.split_once('/') {
            Some((first, rest)) => {
                folder = first.to_string();
                rest.to_string()
            }
            None => path,
        };
        let length = file.size() as u64;
        let streamed = StreamedFile::open(&name, length, pieces_of(file)).await.map_err(|error| error.to_string())?;
        found.insert(name, streamed);
    }
    Ok(ModelSource::Files(Arc::new(ModelFiles::from_stream(folder.clone(), found)), folder))
}

/// Reads from `offset` on, as often as it is asked.
fn pieces_of(file: File) -> ReadPiece {
    Box::new(move |offset, length| {
        let (start, end) = (offset as f64, (offset + length as u64) as f64);
        let piece = file.slice_with_f64_and_f64(start, end);
        Box::pin(async move {
            let piece = piece.map_err(|reason| io::Error::other(words(&reason)))?;
            read(&piece).await.map_err(io::Error::other)
        })
    })
}

/// Hands bytes to the person as a download.
pub fn save(name: &str, bytes: &[u8], inbox: &Inbox) {
    let download = || -> Result<(), JsValue> {
        let blob = Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes)))?;
        let address = Url::create_object_url_with_blob(&blob)?;
        let link: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
        link.set_href(&address);
        link.set_download(name);
        link.click();
        let forget = Closure::once_into_js(move || drop(Url::revoke_object_url(&address)));
        window().set_timeout_with_callback_and_timeout_and_arguments_0(forget.unchecked_ref(), DOWNLOAD_MS)?;
        Ok(())
    };
    if let Err(reason) = download() {
        let reason = words(&reason);
        inbox.error(
            format!("{name} was not saved ({reason}); allow downloads for this page and try again"),
            format!("{name} 未保存（{reason}）；请允许此页面下载后重试"),
        );
    }
}

/// A file input that was never seen: opened by code, which browsers allow shortly after a click or a key.
fn pick(prepare: impl FnOnce(&HtmlInputElement), chosen: impl FnOnce(Vec<File>) + 'static) {
    let Ok(input) = document().create_element("input") else { return };
    let input: HtmlInputElement = input.unchecked_into();
    input.set_type("file");
    prepare(&input);
    let of_input = input.clone();
    let on_change = Closure::once_into_js(move || {
        let files = of_input.files().map(list).unwrap_or_default();
        if !files.is_empty() {
            chosen(files);
        }
    });
    input.set_onchange(Some(on_change.unchecked_ref()));
    input.click();
}

/// All of a blob.
///
/// # Errors
/// In the browser's words: the file changed or went away since it was chosen.
pub async fn read(blob: &Blob) -> Result<Vec<u8>, String> {
    let buffer = JsFuture::from(blob.array_buffer()).await.map_err(|reason| words(&reason))?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

fn list(files: FileList) -> Vec<File> {
    (0..files.length()).filter_map(|index| files.item(index)).collect()
}

/// A thrown value in words.
pub fn words(thrown: &JsValue) -> String {
    match thrown.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => thrown.as_string().unwrap_or_else(|| format!("{thrown:?}")),
    }
}

/// The page's window.
///
/// # Panics
/// Outside of a page.
pub fn window() -> web_sys::Window {
    web_sys::window().expect("this runs in a page")
}

fn document() -> Document {
    window().document().expect("this runs in a page")
}
