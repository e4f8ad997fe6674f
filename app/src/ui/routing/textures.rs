//! Decoded pictures on the GPU, in grey: each is decoded once, beside the frames, and forgotten when a frame did not show
//! it.

use std::sync::Arc;

use async_channel::{Receiver, Sender, unbounded};
use egui::{ColorImage, Context, TextureHandle, TextureOptions};
use image::imageops;
use mole_runtime::engine::Picture;
use mole_runtime::image::decode;

use crate::routing::grey;
use crate::spawn::spawn;

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
    /// Held, so that no other picture can take its place in memory.
    bytes: Arc<[u8]>,
    /// None while it is decoded, and if it cannot be: the model could not have either.
    texture: Option<Texture>,
    used: bool,
}

/// A picture's bytes; its width and height; in grey, made small.
type Decoded = (Arc<[u8]>, [usize; 2], ColorImage);

pub(super) struct Textures {
    kept: Vec<Kept>,
    decoded: (Sender<Decoded>, Receiver<Decoded>),
}

impl Default for Textures {
    fn default() -> Self {
        Self { kept: Vec::new(), decoded: unbounded() }
    }
}

impl Textures {
    /// Takes what was decoded, and forgets what the last frame did not show.
    pub(super) fn begin_frame(&mut self, ctx: &Context) {
        self.kept.retain_mut(|kept| std::mem::take(&mut kept.used));
        while let Ok((bytes, [width, height], image)) = self.decoded.1.try_recv() {
            if let Some(kept) = self.kept.iter_mut().find(|kept| Arc::ptr_eq(&kept.bytes, &bytes)) {
                let handle = ctx.load_texture("routing", image, TextureOptions::LINEAR);
                kept.texture = Some(Texture { handle, width, height });
            }
        }
    }

    /// The picture, if it is there already; else it will be, and the window is drawn again then.
    pub(super) fn get(&mut self, ctx: &Context, picture: &Picture) -> Option<Texture> {
        if let Some(kept) = self.kept.iter_mut().find(|kept| Arc::ptr_eq(&kept.bytes, &picture.bytes)) {
            kept.used = true;
            return kept.texture.clone();
        }
        self.kept.push(Kept { bytes: picture.bytes.clone(), texture: None, used: true });
        let (picture, sender, ctx) = (picture.clone(), self.decoded.0.clone(), ctx.clone());
        spawn(async move {
            if let Some((size, image)) = small(&picture) {
                let _ = sender.try_send((picture.bytes, size, image));
                ctx.request_repaint();
            }
        });
        None
    }
}

/// Its size, and the picture in grey, no larger than is uploaded.
fn small(picture: &Picture) -> Option<([usize; 2], ColorImage)> {
    let decoded = decode(&picture.bytes, &picture.name).ok()?;
    let (width, height) = (decoded.width(), decoded.height());
    let image = match width.max(height) <= MAX_SIDE {
        true => ColorImage::from_rgb([width, height], &grey(decoded.pixels())),
        false => {
            let whole = image::RgbImage::from_raw(width as u32, height as u32, decoded.pixels().to_vec())?;
            // In u64: a page has 32-bit sizes.
            let fitted = |side: usize| (side as u64 * MAX_SIDE as u64 / width.max(height) as u64).max(1) as u32;
            let small = imageops::thumbnail(&whole, fitted(width), fitted(height));
            ColorImage::from_rgb([small.width() as usize, small.height() as usize], &grey(small.as_raw()))
        }
    };
    Some(([width, height], image))
}
