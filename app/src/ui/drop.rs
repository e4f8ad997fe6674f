//! Pictures that are dropped on the window or pasted into it: read and checked beside the frames.

use std::sync::Arc;

use async_channel::Sender;
use egui::{Align2, ColorImage, Context, DroppedFileHandle, Id, LayerId, Order, TextStyle, Ui};
use mole_runtime::engine::Picture;
use mole_runtime::image::decode;

use super::thumbnail::file_name;
use crate::language::Language;
use crate::spawn::spawn;
use crate::state::{Arrival, Notice};

/// Files on their way into the draft.
pub struct Drops {
    outside: Sender<Arrival>,
}

impl Drops {
    /// What is read goes to `outside`.
    pub fn new(outside: Sender<Arrival>) -> Self {
        Self { outside }
    }

    /// Takes the files that were dropped in this frame.
    pub fn take(&self, ui: &Ui, language: Language) {
        for file in ui.input(|input| input.raw.dropped_files.clone()) {
            let (outside, ctx) = (self.outside.clone(), ui.ctx().clone());
            spawn(async move {
                let name = file_name(&file.path().display().to_string()).to_string();
                let arrival = match read(&file).await {
                    Ok(bytes) => checked(Picture { name, bytes: Arc::from(bytes) }),
                    Err(reason) => Arrival::Notice(Notice::error(match language {
                        Language::English => format!("{name} cannot be read: {reason}"),
                        Language::Chinese => format!("无法读取 {name}：{reason}"),
                    })),
                };
                let _ = outside.try_send(arrival);
                ctx.request_repaint();
            });
        }
    }

    /// Takes a picture from the clipboard.
    pub fn pasted(&self, image: Arc<ColorImage>, language: Language, ctx: Context) {
        let outside = self.outside.clone();
        spawn(async move {
            let name = language.pick("pasted picture", "粘贴的图片").to_string();
            let arrival = match png(&image) {
                Ok(bytes) => checked(Picture { name, bytes: Arc::from(bytes) }),
                Err(reason) => Arrival::Notice(Notice::error(format!("{name}: {reason}"))),
            };
            let _ = outside.try_send(arrival);
            ctx.request_repaint();
        });
    }

    /// Shows that what is held over the window may be dropped.
    pub fn hint(&self, ui: &Ui, language: Language) {
        if ui.input(|input| input.raw.hovered_files.is_empty()) {
            return;
        }
        let painter = ui.ctx().layer_painter(LayerId::new(Order::Foreground, Id::unique("drop hint")));
        let (rect, visuals) = (ui.ctx().content_rect(), ui.visuals());
        painter.rect_filled(rect, 0.0, visuals.extreme_bg_color.gamma_multiply(0.85));
        let text = language.pick("Drop pictures to ask about them", "松开以添加图片");
        painter.text(
            rect.center(),
            Align2::CENTER_CENTER,
            text,
            TextStyle::Heading.resolve(ui.style()),
            visuals.text_color(),
        );
    }
}

/// A file that is no picture is told of, and does not get into the draft.
fn checked(picture: Picture) -> Arrival {
    match decode(&picture.bytes, &picture.name) {
        Ok(_) => Arrival::Pictures(vec![picture]),
        Err(error) => Arrival::Notice(Notice::error(error.to_string())),
    }
}

#[cfg(not(target_arch = "wasm32"))]
async fn read(file: &DroppedFileHandle) -> Result<Vec<u8>, String> {
    file.bytes()
}

#[cfg(target_arch = "wasm32")]
async fn read(file: &DroppedFileHandle) -> Result<Vec<u8>, String> {
    file.bytes_async().await
}

fn png(image: &ColorImage) -> Result<Vec<u8>, String> {
    let [width, height] = image.size.map(|side| side as u32);
    let pixels: Vec<u8> = image.pixels.iter().flat_map(|pixel| pixel.to_srgba_unmultiplied()).collect();
    let buffer = image::RgbaImage::from_raw(width, height, pixels).ok_or("its size and its pixels do not agree")?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    buffer.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}
