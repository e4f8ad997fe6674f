//! Pictures as the window shows them: decoded beside the frames, once, and made small.

use std::collections::HashMap;
use std::sync::Arc;

use async_channel::{Receiver, Sender, unbounded};
use egui::{ColorImage, Context, TextureHandle, TextureOptions};
use mole_runtime::engine::Picture;
use mole_runtime::image::decode;

use crate::spawn::spawn;

/// Longest side of a picture as it is shown, in pixels: more than any place for it has.
const MAX_SIDE: u32 = 768;

/// A picture on its way to the screen.
#[derive(Clone)]
pub enum Shown {
    /// It is being decoded.
    Coming,
    /// It is there.
    Ready(TextureHandle),
    /// It cannot be decoded; what is wrong and what to do.
    Failed(String),
}

/// The pictures that were shown so far.
pub struct Textures {
    /// By the place of the bytes, which are held so that no other picture can take it.
    shown: HashMap<usize, (Arc<[u8]>, Shown)>,
    decoded: (Sender<Decoded>, Receiver<Decoded>),
}

type Decoded = (usize, Result<ColorImage, String>);

impl Default for Textures {
    fn default() -> Self {
        Self { shown: HashMap::new(), decoded: unbounded() }
    }
}

impl Textures {
    /// The picture, if it is there already; else it will be, and the window is drawn again then.
    pub fn get(&mut self, ctx: &Context, picture: &Picture) -> Shown {
        while let Ok((key, result)) = self.decoded.1.try_recv() {
            let shown = match result {
                Ok(image) => Shown::Ready(ctx.load_texture("picture", image, TextureOptions::LINEAR)),
                Err(reason) => Shown::Failed(reason),
            };
            if let Some(entry) = self.shown.get_mut(&key) {
                entry.1 = shown;
            }
        }
        let key = Arc::as_ptr(&picture.bytes).cast::<u8>().addr();
        if let Some((_, shown)) = self.shown.get(&key) {
            return shown.clone();
        }
        self.shown.insert(key, (Arc::clone(&picture.bytes), Shown::Coming));
        let (picture, sender, ctx) = (picture.clone(), self.decoded.0.clone(), ctx.clone());
        spawn(async move {
            let result = decode(&picture.bytes, &picture.name).map(small).map_err(|error| error.to_string());
            let _ = sender.try_send((key, result));
            ctx.request_repaint();
        });
        Shown::Coming
    }
}

fn small(rgb: mole_runtime::image::RgbImage) -> ColorImage {
    let (width, height) = (rgb.width() as u32, rgb.height() as u32);
    let buffer = image::RgbImage::from_raw(width, height, rgb.pixels().to_vec()).expect("3 bytes a pixel");
    let longest = width.max(height);
    let buffer = match longest > MAX_SIDE {
        true => {
            let side = |side: u32| (u64::from(side) * u64::from(MAX_SIDE) / u64::from(longest)).max(1) as u32;
            image::imageops::thumbnail(&buffer, side(width), side(height))
        }
        false => buffer,
    };
    ColorImage::from_rgb([buffer.width() as usize, buffer.height() as usize], buffer.as_raw())
}
