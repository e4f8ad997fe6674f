//! Pictures: dropped, pasted, chosen, and the samples.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{ColorImage, DroppedFile, Event};
use llava_mole::state::{Arrival, Effect};

use super::stage::{Setting, Stage, broken_picture, sample};

/// A file that is dropped.
#[derive(Debug)]
struct File {
    path: PathBuf,
    bytes: Result<Vec<u8>, String>,
}

impl DroppedFile for File {
    fn path(&self) -> &Path {
        &self.path
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        self.bytes.clone()
    }
}

fn drop_file(stage: &mut Stage, name: &str, bytes: Result<Vec<u8>, String>) {
    stage.harness.input_mut().dropped_files.push(Arc::new(File { path: PathBuf::from("/photos").join(name), bytes }));
    stage.settle();
}

#[test]
fn a_dropped_picture_goes_with_the_message_and_can_be_taken_out() {
    let mut stage = Setting::default().scripted();
    drop_file(&mut stage, "chart.png", Ok(sample("document-3.png").bytes.to_vec()));
    stage.until("the picture is there", |state| !state.draft.pictures.is_empty());
    assert_eq!(stage.state().draft.pictures[0].name, "chart.png");
    stage.click("Remove chart.png");
    assert!(stage.state().draft.pictures.is_empty());
}

#[test]
fn a_dropped_file_that_is_no_picture_is_told_of() {
    let mut stage = Setting::default().scripted();
    for (name, bytes) in [
        ("broken.png", Ok(broken_picture().bytes.to_vec())),
        ("notes.txt", Ok(b"hello".to_vec())),
        ("gone.png", Err("No such file or directory".to_string())),
    ] {
        drop_file(&mut stage, name, bytes);
        stage.until("it is told of", |state| state.notices.iter().any(|notice| notice.text.contains(name)));
        assert!(stage.state().draft.pictures.is_empty());
        assert!(stage.shows_text(name));
        stage.click("Close");
        assert!(stage.state().notices.is_empty());
    }
}

#[test]
fn a_chosen_file_that_is_no_picture_is_taken_out_again_and_told_of() {
    let mut stage = Setting::default().scripted();
    stage.click("Add pictures…");
    assert!(stage.effects().iter().any(|effect| matches!(effect, Effect::PickPictures)));
    stage.arrive(Arrival::Pictures(vec![broken_picture(), sample("general-1.png")]));
    stage.until("it is told of", |state| !state.notices.is_empty());
    let names: Vec<_> = stage.state().draft.pictures.iter().map(|picture| picture.name.as_str()).collect();
    assert_eq!(names, ["general-1.png"]);
}

#[test]
fn several_files_that_are_no_pictures_are_each_taken_out() {
    let mut stage = Setting::default().scripted();
    let broken = |name: &str| mole_runtime::engine::Picture { name: name.to_string(), ..broken_picture() };
    stage.arrive(Arrival::Pictures(vec![broken("a.png"), broken("b.png"), sample("general-1.png"), broken("c.png")]));
    // All are found out before the next frame.
    std::thread::sleep(std::time::Duration::from_millis(300));
    stage.until("all are told of", |state| state.notices.len() == 3);
    let names: Vec<_> = stage.state().draft.pictures.iter().map(|picture| picture.name.as_str()).collect();
    assert_eq!(names, ["general-1.png"]);
}

#[test]
fn a_picture_on_the_clipboard_is_pasted() {
    let mut stage = Setting::default().scripted();
    let image = ColorImage::filled([3, 2], egui::Color32::from_rgb(10, 200, 30));
    stage.harness.event(Event::PasteImage(Arc::new(image)));
    stage.until("the picture is there", |state| !state.draft.pictures.is_empty());
    let picture = &stage.state().draft.pictures[0];
    let decoded = mole_runtime::image::decode(&picture.bytes, &picture.name).expect("a PNG");
    assert_eq!((decoded.width(), decoded.height(), &decoded.pixels()[..3]), (3, 2, &[10, 200, 30][..]));
}

#[test]
fn a_sample_is_one_click_away() {
    let mut stage = Setting::default().scripted();
    stage.click("What number is shown for Oil?");
    assert_eq!(stage.state().draft.text, "What number is shown for Oil?");
    assert_eq!(stage.state().draft.pictures[0].name, "document-3.png");
    stage.press(egui::Modifiers::NONE, egui::Key::Enter);
    assert_eq!(stage.state().chat().expect("sent").turns[0].pictures.len(), 1, "the field has the keyboard");
}
