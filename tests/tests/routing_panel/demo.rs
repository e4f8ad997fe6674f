//! What the demo model does with sample pictures, through the engine, on the CPU; asked once for all tests.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use llava_mole::routing::Trace;
use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{
    Command, Engine, Event, LoadRequest, Message, ModelInfo, Picture, ReplyPrompt, ReplyRequest,
};
use mole_runtime::ops::SampleParams;
use mole_runtime::text::Role;

/// How long the model may take for the next event.
const PATIENCE: Duration = Duration::from_secs(120);

struct Demo {
    model: ModelInfo,
    traces: Vec<Trace>,
}

/// The model that was loaded.
pub(super) fn model() -> &'static ModelInfo {
    &demo().model
}

/// A chart, which the model was asked about.
pub(super) fn chart() -> Trace {
    demo().traces[0].clone()
}

/// A tissue.
pub(super) fn tissue() -> Trace {
    demo().traces[1].clone()
}

/// Two pictures in one question.
pub(super) fn two_pictures() -> Trace {
    demo().traces[2].clone()
}

fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| {
        let engine = Engine::spawn();
        engine.send(Command::Load(LoadRequest {
            model: llava_mole::demo::model(),
            adapter: Some(llava_mole::demo::adapter()),
            device: DeviceChoice::Cpu,
            precision: None,
            aspect_ratio: None,
        }));
        let model = loop {
            match next(&engine) {
                Event::Loaded(info) => break *info,
                Event::Loading(_) => {}
                other => panic!("{other:?}"),
            }
        };
        let asked = [
            ("A chart", "What does the chart show?", vec!["document-1.png"]),
            ("A tissue", "What is seen in the picture?", vec!["medical-1.png"]),
            ("Two pictures", "What is seen?", vec!["general-1.png", "medical-2.png"]),
        ];
        let traces =
            (1..).zip(asked).map(|(chat, (title, text, files))| ask(&engine, &model, chat, title, text, &files));
        Demo { traces: traces.collect(), model }
    })
}

fn ask(engine: &Engine, model: &ModelInfo, chat: u64, title: &str, text: &str, files: &[&str]) -> Trace {
    let pictures: Vec<Picture> = files.iter().map(|file| picture(file)).collect();
    let message = Message { role: Role::User, text: text.to_string(), pictures: pictures.clone() };
    engine.send(Command::Reply(ReplyRequest {
        prompt: ReplyPrompt::Chat(vec![message]),
        max_new_tokens: 16,
        sample: SampleParams::default(),
        seed: 0,
        routing: true,
    }));
    loop {
        match next(engine) {
            Event::Replied(reply) => {
                return Trace {
                    chat,
                    turn: 2,
                    title: title.to_string(),
                    pictures,
                    patches: model.patches.clone(),
                    routing: reply.routing.expect("it was asked for"),
                    complete: true,
                };
            }
            Event::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
}

fn picture(file: &str) -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/samples").join(file);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Picture { name: file.to_string(), bytes: Arc::from(bytes) }
}

fn next(engine: &Engine) -> Event {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match engine.events().try_recv() {
            Ok(event) => return event,
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    panic!("no event within {PATIENCE:?}");
}
