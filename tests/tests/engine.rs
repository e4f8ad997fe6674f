//! The engine as the command line, the window and the page use it: commands in, events out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mole_runtime::Error;
use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{
    Command, Engine, Event, LoadRequest, Message, ModelSource, Picture, Reply, ReplyPrompt, ReplyRequest,
};
use mole_runtime::generate::StopReason;
use mole_runtime::ops::SampleParams;
use mole_runtime::text::Role;
use mole_tests::{fixtures, required};

/// The next event, within a minute.
fn next(engine: &Engine) -> Event {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        match engine.events().try_recv() {
            Ok(event) => return event,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("no event within a minute");
}

fn load(engine: &Engine, case: &str, device: DeviceChoice) -> Result<(), Error> {
    engine.send(Command::Load(LoadRequest {
        model: ModelSource::Folder(fixtures().join(case).join("model")),
        adapter: None,
        device,
        precision: None,
        aspect_ratio: None,
    }));
    let mut done = 0;
    loop {
        match next(engine) {
            Event::Loading(progress) => {
                assert!(progress.done_bytes >= done && progress.done_bytes <= progress.total_bytes);
                done = progress.done_bytes;
            }
            Event::Loaded(info) => {
                assert!(done > 0 && info.parameters > 0);
                return Ok(());
            }
            Event::Failed(error) => return Err(error),
            other => panic!("{other:?}"),
        }
    }
}

fn engine(case: &str) -> Engine {
    let engine = Engine::spawn();
    load(&engine, case, DeviceChoice::Cpu).unwrap();
    engine
}

fn picture(name: &str) -> Picture {
    Picture { name: name.to_string(), bytes: Arc::from(std::fs::read(fixtures().join("pictures").join(name)).unwrap()) }
}

fn user(text: &str, pictures: &[&str]) -> Message {
    Message { role: Role::User, text: text.to_string(), pictures: pictures.iter().map(|name| picture(name)).collect() }
}

fn request(prompt: ReplyPrompt, max_new_tokens: usize) -> Command {
    Command::Reply(ReplyRequest { prompt, max_new_tokens, sample: SampleParams::default(), seed: 0, routing: false })
}

/// The reply, and what was streamed.
fn answer(engine: &Engine) -> Result<(Reply, String), Error> {
    let mut streamed = String::new();
    let mut started = false;
    loop {
        match next(engine) {
            Event::Started { .. } => started = true,
            Event::Prefilled { tokens } => assert!(started && tokens > 0 && streamed.is_empty()),
            Event::Token(text) => {
                assert!(started && !text.is_empty());
                streamed.push_str(&text);
            }
            Event::Replied(reply) => return Ok((reply, streamed)),
            Event::Failed(error) => return Err(error),
            other => panic!("{other:?}"),
        }
    }
}

fn ask(engine: &Engine, messages: Vec<Message>) -> Result<(Reply, String), Error> {
    engine.send(request(ReplyPrompt::Chat(messages), 24));
    answer(engine)
}

#[test]
fn what_is_streamed_is_the_reply() {
    let engine = engine("mha");
    let (reply, streamed) = ask(&engine, vec![user("What is in the picture?", &["landscape.png"])]).unwrap();
    assert_eq!(reply.text, streamed);
    assert_eq!(reply.token_ids.len(), 24);
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
    assert_eq!(reply.image_tokens, 9);
    assert!(reply.prompt_tokens > 9 && reply.timings.prefill_seconds > 0.0);
}

#[test]
fn a_second_turn_is_answered_as_if_nothing_were_cached() {
    let first = user("What is in the picture?", &["landscape.png"]);
    let warm = engine("mha");
    let (reply, _) = ask(&warm, vec![first.clone()]).unwrap();
    let said = Message { role: Role::Assistant, text: reply.text, pictures: Vec::new() };
    let turns = vec![first, said, user("And beside it?", &["gray.png"])];
    let (cached, _) = ask(&warm, turns.clone()).unwrap();
    let (fresh, _) = ask(&engine("mha"), turns).unwrap();
    assert_eq!(cached.token_ids, fresh.token_ids);
    assert_eq!(cached.image_tokens, 18);
}

#[test]
fn another_picture_under_the_same_words_is_another_question() {
    let engine = engine("mha");
    let question = |name| vec![user("What is in the picture?", &[name])];
    let (landscape, _) = ask(&engine, question("landscape.png")).unwrap();
    let (gray, _) = ask(&engine, question("gray.png")).unwrap();
    let (again, _) = ask(&engine, question("landscape.png")).unwrap();
    assert_ne!(landscape.token_ids, gray.token_ids);
    assert_eq!(landscape.token_ids, again.token_ids);
}

#[test]
fn cancelling_keeps_what_was_said_and_the_engine_goes_on() {
    let engine = engine("mha");
    // The cancel is in the inbox before the reply begins, so it stops at the first event whatever the machine's speed.
    engine.send(request(ReplyPrompt::Chat(vec![user("Go on", &[])]), 200));
    engine.send(Command::Cancel);
    let (reply, streamed) = answer(&engine).unwrap();
    assert_eq!(reply.stop_reason, StopReason::Cancelled);
    assert_eq!(reply.text, streamed);
    assert!(reply.token_ids.len() < 200);
    // A cancel with nothing running is nothing.
    engine.send(Command::Cancel);
    let (reply, _) = ask(&engine, vec![user("Go on", &[])]).unwrap();
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
}

#[test]
fn the_context_ends_a_reply() {
    // This model repeats itself and never says that it is done.
    let engine = engine("no_image");
    let context = 256;
    for max_new_tokens in [100_000, usize::MAX] {
        engine.send(request(ReplyPrompt::Raw("Go on".to_string(), Vec::new()), max_new_tokens));
        let (reply, _) = answer(&engine).unwrap();
        assert_eq!(reply.stop_reason, StopReason::Context);
        // The last token needs no position of its own.
        assert_eq!(reply.prompt_tokens + reply.token_ids.len(), context + 1);
    }
}

#[test]
fn a_failed_command_leaves_the_engine_as_it_was() {
    let engine = engine("mha");
    let wrong = [
        ReplyPrompt::Raw("<image> <image>".to_string(), vec![picture("gray.png")]),
        ReplyPrompt::Raw("word ".repeat(2000), Vec::new()),
        ReplyPrompt::Chat(vec![Message {
            role: Role::User,
            text: "What is it?".to_string(),
            pictures: vec![Picture { name: "broken.png".to_string(), bytes: Arc::from(&b"\x89PNG\r\n\x1a\nno"[..]) }],
        }]),
    ];
    let (before, _) = ask(&engine, vec![user("Hello", &[])]).unwrap();
    for prompt in wrong {
        engine.send(request(prompt, 5));
        let error = answer(&engine).unwrap_err();
        assert!(matches!(error, Error::Prompt(_) | Error::Image { .. }), "{error}");
    }
    let (after, _) = ask(&engine, vec![user("Hello", &[])]).unwrap();
    assert_eq!(before.token_ids, after.token_ids);
}

#[test]
fn a_prompt_before_a_model_is_an_error_and_so_is_a_missing_folder() {
    let engine = Engine::spawn();
    engine.send(request(ReplyPrompt::Raw("Hello".to_string(), Vec::new()), 5));
    assert!(answer(&engine).unwrap_err().to_string().contains("before a model was loaded"));
    assert!(load(&engine, "nowhere", DeviceChoice::Cpu).unwrap_err().to_string().contains("nowhere"));
    load(&engine, "mha", DeviceChoice::Cpu).unwrap();
    assert!(ask(&engine, vec![user("Hello", &[])]).is_ok());
}

#[test]
fn a_refused_model_leaves_the_one_before() {
    let engine = engine("mha");
    let (before, _) = ask(&engine, vec![user("Hello", &[])]).unwrap();
    assert!(load(&engine, "nowhere", DeviceChoice::Cpu).is_err());
    assert!(load(&engine, "gqa", DeviceChoice::GpuIndex(99)).unwrap_err().to_string().contains("gpu:99"));
    let (after, _) = ask(&engine, vec![user("Hello", &[])]).unwrap();
    assert_eq!(before.token_ids, after.token_ids);
}

#[test]
fn models_are_switched_without_a_restart_and_the_gpu_agrees() {
    let engine = engine("gqa");
    let question = vec![user("What is in the picture?", &["gray.png"])];
    let (cpu, _) = ask(&engine, question.clone()).unwrap();
    match load(&engine, "gqa", DeviceChoice::Gpu) {
        Ok(()) => assert_eq!(ask(&engine, question).unwrap().0.token_ids, cpu.token_ids),
        Err(error) if required() => panic!("MOLE_REQUIRE_GPU is set, but {error}"),
        Err(error) => eprintln!("SKIPPED, no GPU: {error}"),
    }
}

#[test]
fn a_repetition_penalty_and_a_seed_change_the_reply() {
    let engine = engine("mha");
    let with = |sample: SampleParams, seed| {
        let prompt = ReplyPrompt::Raw("Go on".to_string(), Vec::new());
        engine.send(Command::Reply(ReplyRequest { prompt, max_new_tokens: 24, sample, seed, routing: false }));
        answer(&engine).unwrap().0.token_ids
    };
    let greedy = SampleParams::default();
    let warm = SampleParams { temperature: 1.5, ..greedy };
    assert_eq!(with(warm, 3), with(warm, 3));
    assert_ne!(with(warm, 3), with(warm, 4));
    assert_ne!(with(SampleParams { repetition_penalty: 1.8, ..greedy }, 0), with(greedy, 0));
    assert_eq!(with(SampleParams { temperature: 1.0, top_k: 1, ..greedy }, 9), with(greedy, 0));
}
