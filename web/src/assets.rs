//! What the desktop's program has inside and a page fetches: fonts and sample pictures. The page is there without them;
//! what fonts lack the browser draws with its own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use egui::{FontData, FontDefinitions, FontFamily};
use llava_mole::samples::{QUESTIONS, samples};
use llava_mole::state::Arrival;
use llava_mole::ui::fonts;
use serde::Deserialize;
use web_sys::RequestCache;

use crate::fetch::fetch;
use crate::inbox::Inbox;

const CHINESE: &str = "fonts/NotoSansCJKsc-common.otf";
/// egui's own fonts, for Latin: their names, and the files. Words, and code.
const WORDS: (&str, &str) = ("Ubuntu-Light", "fonts/Ubuntu-Light.ttf");
const CODE: (&str, &str) = ("Hack", "fonts/Hack-Regular.ttf");

/// The fonts that the first frame needs, as egui has them on the desktop. Those that do not come are left out.
pub async fn latin() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    for (name, file) in [WORDS, CODE] {
        match fetch(file, RequestCache::Default).await {
            Ok(bytes) => drop(fonts.font_data.insert(name.to_string(), Arc::new(FontData::from_owned(bytes)))),
            Err(reason) => log::warn!("a font was not fetched: {reason}"),
        }
    }
    for (family, names) in [(FontFamily::Proportional, vec![WORDS.0]), (FontFamily::Monospace, vec![CODE.0, WORDS.0])] {
        let there = names.into_iter().filter(|&name| fonts.font_data.contains_key(name)).map(str::to_string).collect();
        fonts.families.insert(family, there);
    }
    fonts
}

/// Fetches the rest, one after the other.
pub async fn get(inbox: Inbox) {
    match fetch(CHINESE, RequestCache::Default).await {
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
