//! What the desktop's program has inside and a page fetches: the Chinese font, the sample pictures. The page is there
//! without them.

use std::borrow::Cow;
use std::collections::HashMap;

use llava_mole::samples::{QUESTIONS, samples};
use llava_mole::state::Arrival;
use llava_mole::ui::fonts;
use serde::Deserialize;
use web_sys::RequestCache;

use crate::fetch::fetch;
use crate::inbox::Inbox;

const FONT: &str = "fonts/NotoSansCJKsc-common.otf";

/// Fetches them one after the other.
pub async fn get(inbox: Inbox) {
    match fetch(FONT, RequestCache::Default).await {
        Ok(font) => inbox.with_context(|context| fonts::install(context, Cow::Owned(font))),
        // The browser's own fonts stand in.
        Err(reason) => log::warn!("the Chinese font was not fetched: {reason}"),
    }
    #[derive(Deserialize)]
    struct Listed {
        image: String,
    }
    let listed: Vec<Listed> = serde_json::from_str(QUESTIONS).expect("a file of ours");
    let mut pictures = HashMap::new();
    for Listed { image } in listed {
        // Those that come are shown.
        if let Ok(bytes) = fetch(&format!("samples/{image}"), RequestCache::Default).await {
            pictures.insert(image, bytes);
        }
    }
    inbox.arrive(Arrival::Samples(samples(|name| pictures.remove(name))));
}
