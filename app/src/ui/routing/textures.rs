//! Decoded pictures on the GPU, in grey: each is decoded once, one a frame, and forgotten when it was not shown for a frame.

use std::sync::Arc;

use egui::{ColorImage, TextureHandle, TextureOptions};
use image::imageops;
use mole_runtime::engine::Picture;
use mole_runtime::image::decode;

use crate::routing::grey;

/// The longest side that is uploaded: more than the panel is wide, and no more than any GPU takes.
const MAX_SIDE: usize = 1024;

/// A picture that can be drawn.
#[derive(Clone)]
pub(super) struct Texture {
    pub(super) handle: TextureHandle,
    /// Of the picture itself; what was uploaded may be smaller.
    pub(super) width: usize,
    /// As `width`.
    pub(super) height: usize,
}

struct Kept {
    bytes: Arc<[u8]>,
    /// None if it cannot be decoded: the model could not have either.
    texture: Option<Texture>,
    used: bool,
}

#[derive(Default)]
pub(super) struct Textures {
    kept: Vec<Kept>,
    /// Whether this frame has decoded one.
    decoded: bool,
}

impl Textures {
    pub(super) fn begin_frame(&mut self) {
        self.kept.retain_mut(|kept| std::mem::take(&mut kept.used));
        self.decoded = false;
    }

    /// The picture; none while others have to be decoded first, and if it cannot be.
    pub(super) fn get(&mut self, ctx: &egui::Context, picture: &Picture) -> Option<Texture> {
        let same = |kept: &&mut Kept| Arc::ptr_eq(&kept.bytes, &picture.bytes) || kept.bytes == picture.bytes;
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.used = true;
            // From now on the address tells: the bytes need not be compared with every frame.
            kept.bytes = picture.bytes.clone();
            return kept.texture.clone();
        }
        if std::mem::replace(&mut self.decoded, true) {
            ctx.request_repaint();
            return None;
        }
        let texture = upload(ctx, picture);
        self.kept.push(Kept { bytes: picture.bytes.clone(), texture: texture.clone(), used: true });
        texture
    }
}

fn upload(ctx: &egui::Context, picture: &Picture) -> Option<Texture> {
    let decoded = decode(&picture.bytes, &picture.name).ok()?;
    let (width, height) = (decoded.width(), decoded.height());
    let image = match width.max(height) <= MAX_SIDE {
        true => ColorImage::from_rgb([width, height], &grey(decoded.pixels())),
        false => {
            let whole = image::RgbImage::from_raw(width as u32, height as u32, decoded.pixels().to_vec())?;
            let fitted = |side: usize| (side * MAX_SIDE / width.max(height)).max(1) as u32;
            let small = imageops::thumbnail(&whole, fitted(width), fitted(height));
            ColorImage::from_rgb([small.width() as usize, small.height() as usize], &grey(small.as_raw()))
        }
    };
    let handle = ctx.load_texture(&picture.name, image, TextureOptions::LINEAR);
    Some(Texture { handle, width, height })
}
