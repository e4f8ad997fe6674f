//! Tells a picture's format by its first bytes, never by its name: a phone's `.jpg` is often something else.

use image::ImageFormat;

/// First bytes of what is not read, what it is, and what to do about it.
const REFUSED: &[(&[u8], &str, &str)] = &[
    (b"GIF8", "a GIF", SAVE_AS),
    (b"BM", "a BMP", SAVE_AS),
    (b"II*\0", "a TIFF", SAVE_AS),
    (b"MM\0*", "a TIFF", SAVE_AS),
    (b"%PDF", "a PDF document", "save the page as a PNG picture first"),
    (b"8BPS", "a Photoshop document", "export it as PNG or JPEG first"),
    (b"\0\0\x01\0", "an icon file", SAVE_AS),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", SAVE_AS),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", SAVE_AS),
    (b"\xff\x0a", "a JPEG XL picture", SAVE_AS),
    (b"version https://git-lfs", "a pointer of Git LFS, not the picture itself", "run `git lfs pull`"),
];

/// What to do with a picture in a format that is not read.
const SAVE_AS: &str = "save it as PNG or JPEG first";

/// How far into a text file its first tag is looked for.
const TEXT_HEAD: usize = 1024;

/// The format of a picture that is read, or why it is not.
pub(super) fn detect(bytes: &[u8]) -> Result<ImageFormat, String> {
    if bytes.is_empty() {
        return Err("is empty (0 bytes)".to_owned());
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(ImageFormat::Png);
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(ImageFormat::Jpeg);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(ImageFormat::WebP);
    }
    let known = REFUSED.iter().find(|(magic, ..)| bytes.starts_with(magic)).map(|&(_, what, hint)| (what, hint));
    match known.or_else(|| iso_media(bytes)).or_else(|| text(bytes)) {
        Some((what, hint)) => Err(format!("is {what}; PNG, JPEG and WebP are read: {hint}")),
        None => Err("is not a PNG, JPEG or WebP picture, whatever its name says".to_owned()),
    }
}

/// HEIC and AVIF: an ISO media file whose brand says which.
fn iso_media(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if bytes.get(4..8) != Some(b"ftyp") {
        return None;
    }
    match bytes.get(8..12)? {
        b"avif" | b"avis" => Some(("an AVIF picture", SAVE_AS)),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
            Some(("a HEIC picture, as phones take them", "export it as JPEG first"))
        }
        _ => Some(("a video", "save one frame as PNG first")),
    }
}

/// SVG, and the web page that a failed download leaves.
fn text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_HEAD)]).to_ascii_lowercase();
    let head = head.trim_start_matches('\u{feff}').trim_start();
    if !head.starts_with('<') {
        return None;
    }
    if head.contains("<svg") {
        Some(("an SVG drawing", "export it as PNG first"))
    } else if head.contains("<html") || head.contains("<!doctype html") {
        Some(("a web page", "download the picture itself"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(detect(b"\x89PNG\r\n\x1a\n..."), Ok(ImageFormat::Png));
        assert_eq!(detect(b"\xff\xd8\xff\xe0..."), Ok(ImageFormat::Jpeg));
        assert_eq!(detect(b"RIFF\x10\0\0\0WEBPVP8 "), Ok(ImageFormat::WebP));
    }

    #[test]
    fn other_formats_are_named_with_a_way_out() {
        for (bytes, word) in [
            (&b"GIF89a"[..], "a GIF; PNG, JPEG and WebP are read: save it as PNG"),
            (b"BM\x36\0", "a BMP"),
            (b"II*\0\x08", "a TIFF"),
            (b"MM\0*\0", "a TIFF"),
            (b"%PDF-1.7", "a PDF document"),
            (b"\0\0\0\x18ftypheic\0", "HEIC"),
            (b"\0\0\0\x20ftypavif\0", "AVIF"),
            (b"\0\0\0\x20ftypisom\0", "a video"),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns=", "an SVG drawing"),
            (b"\xef\xbb\xbf <!DOCTYPE html><html>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "not a PNG"),
            (b"hello", "not a PNG"),
            (b"", "empty"),
        ] {
            let error = detect(bytes).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
