//! What the person is told about what is kept: what happened, where, what to do next.

use std::io;
use std::path::Path;

use super::files::Trouble;
use super::start::{DAMAGED, Findings, HISTORY, PICTURES};
use crate::language::Language;
use crate::state::Notice;

fn place(language: Language, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Nowhere => language
            .pick("this user has no folder for an application's data", "此用户没有应用程序数据文件夹")
            .to_string(),
        Trouble::Io { path, source } => format!("{}: {source}", path.display()),
    }
}

/// Something could not be kept.
pub(super) fn unsaved(language: Language, trouble: &Trouble) -> Notice {
    let place = place(language, trouble);
    Notice::error(language.pick(
        format!(
            "The conversation could not be saved: {place}. Nothing is lost while this window is open, and saving is \
             tried again. Make room on the disk or make the folder writable; or export the conversation, set \
             MOLE_DATA_DIR to another folder and start again."
        ),
        format!(
            "无法保存对话：{place}。窗口打开期间内容不会丢失，并会再次尝试保存。请腾出磁盘空间或使文件夹可写；\
             也可以导出对话，把 MOLE_DATA_DIR 设为其他文件夹后重新启动。"
        ),
    ))
}

/// What was told by [`unsaved`] or [`unread`] is over.
pub(super) fn saved_again(language: Language) -> Notice {
    Notice::info(language.pick("Saving works again: everything said is saved.", "保存已恢复：所有内容均已保存。"))
}

/// The journal could not be read.
pub(super) fn unread(language: Language, trouble: &Trouble) -> Notice {
    let place = place(language, trouble);
    Notice::error(language.pick(
        format!(
            "Earlier conversations could not be read: {place}. They are left as they are, and what is said now may not \
             be saved either. Make the folder readable and writable, or set MOLE_DATA_DIR to another folder, and start \
             again."
        ),
        format!(
            "无法读取以前的对话：{place}。原有文件保持不变，现在的内容也可能无法保存。请使文件夹可读可写，\
             或把 MOLE_DATA_DIR 设为其他文件夹，然后重新启动。"
        ),
    ))
}

/// No thread could be started.
pub(super) fn no_thread(language: Language, error: &io::Error) -> Notice {
    Notice::error(language.pick(
        format!("Conversations are neither read nor saved: {error}. Close other programs and start again."),
        format!("对话既无法读取也无法保存：{error}。请关闭其他程序后重新启动。"),
    ))
}

/// The preferences were no preferences.
pub(super) fn damaged_preferences(language: Language, path: &Path, error: &serde_json::Error) -> Notice {
    let path = path.display();
    Notice::error(language.pick(
        format!("The settings were damaged and are the defaults now: {path}: {error}. Choose them anew."),
        format!("设置文件已损坏，现使用默认设置：{path}：{error}。请重新选择。"),
    ))
}

/// What a start found.
pub(super) fn findings(language: Language, folder: Option<&Path>, found: &Findings) -> Vec<Notice> {
    let path = |name: &str| folder.map(|folder| folder.join(name).display().to_string()).unwrap_or_default();
    let mut notices = Vec::new();
    if found.damaged > 0 {
        let count = found.damaged;
        let file = path(if found.set_aside { DAMAGED } else { HISTORY });
        notices.push(Notice::error(language.pick(
            format!(
                "Lines of the history that could not be read: {count}. Everything else is here. They are kept in \
                 {file}; a backup of the folder may have them whole."
            ),
            format!(
                "历史记录中无法读取的行数：{count}。其余内容完好。这些行保存在 {file}；文件夹的备份中可能有完整的内容。"
            ),
        )));
    }
    if found.later > 0 {
        let (count, file) = (found.later, path(HISTORY));
        notices.push(Notice::info(language.pick(
            format!(
                "Lines of the history that a later version of this app wrote: {count}. They are not shown and stay in \
                 {file}; that version shows them."
            ),
            format!("历史记录中由较新版本写入的行数：{count}。这些行不会显示，保留在 {file} 中；请用较新版本查看。"),
        )));
    }
    if found.gone > 0 {
        let (count, folder) = (found.gone, path(PICTURES));
        notices.push(Notice::error(language.pick(
            format!(
                "Pictures of earlier conversations that are gone: {count}. What was said about them is here. Put the \
                 files back into {folder}, or add the pictures again."
            ),
            format!("以前对话中丢失的图片数：{count}。相关文字完好。请把文件放回 {folder}，或重新添加图片。"),
        )));
    }
    notices
}
