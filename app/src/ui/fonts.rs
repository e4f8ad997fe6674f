//! The fonts: egui's own for Latin, and one with the common Chinese characters behind them (`assets/fonts`). What neither
//! has comes from the system on the desktop, and from the browser in a page.

use std::borrow::Cow;

use egui::epaint::text::{FontInsert, FontPriority, InsertFontFamily};
use egui::{FontData, FontFamily, FontTweak};

/// The Chinese font. A page fetches it beside the program instead, so that the program is there sooner.
#[cfg(not(target_arch = "wasm32"))]
pub const CHINESE: &[u8] = include_bytes!("../../../assets/fonts/NotoSansCJKsc-common.otf");

/// The Chinese font's name among egui's.
const NAME: &str = "Noto Sans CJK SC";

/// egui centres a fallback's line in that of the first font. This font's line reaches far above and below its characters,
/// and its middle lies lower than Latin's: without a shift they would hang below the line, by this part of their size.
const RAISED_BY: f32 = 0.08;

/// Installs the Chinese font behind egui's own, in the next frame. `chinese` is the file's content: [`CHINESE`], or what a
/// page fetched.
pub fn install(ctx: &egui::Context, chinese: Cow<'static, [u8]>) {
    let data = match chinese {
        Cow::Borrowed(bytes) => FontData::from_static(bytes),
        Cow::Owned(bytes) => FontData::from_owned(bytes),
    };
    let tweak = FontTweak { y_offset_factor: -RAISED_BY, ..FontTweak::default() };
    let behind = |family| InsertFontFamily { family, priority: FontPriority::Lowest };
    ctx.add_font(FontInsert {
        name: NAME.to_owned(),
        data: data.tweak(tweak),
        families: vec![behind(FontFamily::Proportional), behind(FontFamily::Monospace)],
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use egui::epaint::text::{Fonts, TextOptions};
    use egui::{FontDefinitions, FontId};

    use super::*;

    /// The Chinese characters of the app's texts, each with a file that has it.
    fn chinese_texts(folder: &Path, found: &mut BTreeMap<char, PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                chinese_texts(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let chinese = |c: &char| matches!(*c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}');
                found.extend(text.chars().filter(chinese).map(|c| (c, path.clone())));
            }
        }
    }

    /// This font and no other.
    fn alone() -> Fonts {
        let mut definitions = FontDefinitions::empty();
        definitions.font_data.insert(NAME.to_owned(), Arc::new(FontData::from_static(CHINESE)));
        definitions.families.insert(FontFamily::Proportional, vec![NAME.to_owned()]);
        Fonts::new(TextOptions::default(), definitions)
    }

    #[test]
    fn every_character_of_the_texts_is_in_the_font() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut texts = BTreeMap::new();
        for sources in ["app/src", "web/src"] {
            chinese_texts(&crates.join(sources), &mut texts);
        }
        assert!(texts.contains_key(&'中') && texts.len() > 20, "the texts were found: {texts:?}");
        let (mut fonts, id) = (alone(), FontId::default());
        texts.retain(|c, _| !fonts.has_glyph(&id, *c));
        assert!(texts.is_empty(), "run assets/fonts/make.py: the font lacks {texts:?}");
        assert!(!fonts.has_glyph(&id, '\u{9f98}'), "has_glyph tells what is not there");
    }

    #[test]
    fn latin_stays_with_egui() {
        let (mut fonts, id) = (alone(), FontId::default());
        assert!(fonts.has_glyphs(&id, "模型，专家。"));
        assert!(!('a'..='z').chain('A'..='Z').chain('0'..='9').any(|c| fonts.has_glyph(&id, c)));
    }

    #[test]
    fn both_families_fall_back_to_it() {
        let ctx = egui::Context::default();
        install(&ctx, CHINESE.into());
        // A font that is added is there in the next pass. Nothing is painted.
        ctx.run_ui(egui::RawInput::default(), |_| {}).textures_delta.clear();
        for id in [FontId::proportional(14.0), FontId::monospace(14.0)] {
            assert!(ctx.fonts_mut(|fonts| fonts.has_glyphs(&id, "中文 Chinese")), "{id:?}");
        }
    }
}
