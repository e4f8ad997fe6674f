//! The system's dialogs, each on a thread of its own: the window goes on meanwhile.

use std::path::Path;
use std::sync::Arc;

use async_channel::Sender;
use egui::Context;
use mole_runtime::engine::{ModelSource, Picture};
use rfd::AsyncFileDialog;

use crate::language::Language;
use crate::spawn::spawn;
use crate::state::{Arrival, Notice, Slot};

/// Pictures beyond this are no pictures a camera makes.
const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// Where answers go.
#[derive(Clone)]
pub struct Dialogs {
    /// The app's inbox.
    pub outside: Sender<Arrival>,
    /// The window, to be drawn again when something came.
    pub ctx: Context,
    /// The language of the dialogs.
    pub language: Language,
}

impl Dialogs {
    /// Lets the person choose pictures.
    pub fn pictures(self) {
        let title = self.language.pick("Add pictures", "添加图片");
        let kinds = self.language.pick("Pictures", "图片");
        let dialog = AsyncFileDialog::new().set_title(title).add_filter(kinds, &["png", "jpg", "jpeg", "webp"]);
        spawn(async move {
            let Some(files) = dialog.pick_files().await else { return };
            let mut pictures = Vec::new();
            for file in files {
                match read_picture(file.path(), self.language) {
                    Ok(picture) => pictures.push(picture),
                    Err(notice) => self.tell(Arrival::Notice(notice)),
                }
            }
            self.tell(Arrival::Pictures(pictures));
        });
    }

    /// Lets the person choose a checkpoint's or an adapter's folder.
    pub fn folder(self, slot: Slot) {
        let title = match slot {
            Slot::Model => self.language.pick("Choose a checkpoint's folder", "选择检查点文件夹"),
            Slot::Adapter => self.language.pick("Choose an adapter's folder", "选择适配器文件夹"),
        };
        let dialog = AsyncFileDialog::new().set_title(title);
        spawn(async move {
            if let Some(folder) = dialog.pick_folder().await {
                self.tell(Arrival::Folder(slot, ModelSource::Folder(folder.path().to_path_buf())));
            }
        });
    }

    /// Lets the person choose a training run's folder.
    pub fn run(self) {
        let title = self.language.pick("Choose a training run's folder", "选择训练运行的文件夹");
        let dialog = AsyncFileDialog::new().set_title(title);
        spawn(async move {
            if let Some(folder) = dialog.pick_folder().await {
                self.tell(Arrival::Run(folder.path().to_path_buf()));
            }
        });
    }

    /// Lets the person save a file.
    pub fn save(self, name: String, bytes: Vec<u8>) {
        let dialog = AsyncFileDialog::new().set_title(self.language.pick("Save", "保存")).set_file_name(name);
        spawn(async move {
            let Some(file) = dialog.save_file().await else { return };
            let path = file.path();
            let notice = match std::fs::write(path, bytes) {
                Ok(()) => Notice::info(match self.language {
                    Language::English => format!("Saved as {}", path.display()),
                    Language::Chinese => format!("已保存为 {}", path.display()),
                }),
                Err(error) => Notice::error(match self.language {
                    Language::English => format!("{}: {error}; choose another place", path.display()),
                    Language::Chinese => format!("{}：{error}；请选择其他位置", path.display()),
                }),
            };
            self.tell(Arrival::Notice(notice));
        });
    }

    fn tell(&self, arrival: Arrival) {
        let _ = self.outside.try_send(arrival);
        self.ctx.request_repaint();
    }
}

fn read_picture(path: &Path, language: Language) -> Result<Picture, Notice> {
    let name = path.display().to_string();
    let length = std::fs::metadata(path).map(|metadata| metadata.len());
    if let Ok(length @ MAX_PICTURE_BYTES..) = length {
        return Err(Notice::error(match language {
            Language::English => format!("{name} has {length} bytes; pictures up to {MAX_PICTURE_BYTES} are read"),
            Language::Chinese => format!("{name} 有 {length} 字节；最多读取 {MAX_PICTURE_BYTES} 字节的图片"),
        }));
    }
    match std::fs::read(path) {
        Ok(bytes) => Ok(Picture { name, bytes: Arc::from(bytes) }),
        Err(error) => Err(Notice::error(format!("{name}: {error}"))),
    }
}
