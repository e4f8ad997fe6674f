//! The training panel over real runs: what it shows, how it follows a file that grows, that it can be used without a
//! mouse, and that it stays quick.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egui::Key;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use llava_mole::language::Language;
use llava_mole::state::{Action, Effect, State};
use llava_mole::ui::fonts;
use llava_mole::ui::training::TrainingView;
use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{Command, Engine, Event, LoadRequest, ModelSource, TrainCommand};
use mole_runtime::train::{Start, TrainConfig, TrainRequest};
use mole_tests::fixtures;
use serde_json::Value;
use tempfile::TempDir;

/// The panel and the state it is over, without the rest of the app.
struct Panel {
    state: State,
    view: TrainingView,
    effects: Vec<Effect>,
}

fn panel(run: Option<&Path>, language: Language) -> Harness<'static, Panel> {
    let mut state = State::default();
    state.run = run.map(Path::to_path_buf);
    state.preferences.language = Some(language);
    let panel = Panel { state, view: TrainingView::default(), effects: Vec::new() };
    Harness::builder()
        .with_size([760.0, 1500.0])
        // The thread that reads wants a frame whenever it has news.
        .with_max_steps(50)
        .with_step_dt(0.05)
        .with_context_setup(|ctx| fonts::install(ctx, fonts::CHINESE.into()))
        .build_ui_state(
            |ui, panel: &mut Panel| {
                let mut actions: Vec<Action> = Vec::new();
                panel.view.show(ui, &panel.state, &mut actions);
                actions.into_iter().for_each(|action| panel.state.act(action));
                panel.effects.extend(panel.state.effects());
            },
            panel,
        )
}

/// Draws frames until a text is there. The folder is read on a thread, in its own time.
fn wait_for(harness: &mut Harness<'_, Panel>, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        harness.run();
        if harness.query_all_by_label_contains(text).next().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{text:?} does not come; there is {:?}", texts(harness));
}

fn texts(harness: &Harness<'_, Panel>) -> Vec<String> {
    let nodes = harness.root().children_recursive();
    nodes.filter_map(|node| node.accesskit_node().label().or_else(|| node.accesskit_node().value())).collect()
}

/// A run of a tiny model with experts over two datasets.
struct Run {
    folder: TempDir,
    engine: Engine,
}

impl Run {
    fn new() -> Self {
        let run = Self { folder: tempfile::tempdir().unwrap(), engine: Engine::spawn() };
        for (name, answers) in [("colours", ["red", "green"]), ("ways", ["up", "down"])] {
            let mut lines = String::new();
            for (at, answer) in answers.iter().enumerate() {
                let turns =
                    format!(r#"[{{"from":"human","value":"What is {at}?"}},{{"from":"gpt","value":"{answer}"}}]"#);
                writeln!(lines, r#"{{"id":"{name}-{at}","conversations":{turns}}}"#).unwrap();
            }
            std::fs::write(run.folder.path().join(format!("{name}.jsonl")), lines).unwrap();
        }
        run
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Trains up to a step; a run of another length that is there is taken up again.
    fn train(&self, steps: u64) {
        let model = fixtures().join("two_images/model");
        let text = format!(
            "model = '{}'\noutput = 'out'\n[lora]\nrank = 4\nalpha = 8\n[mole]\nexperts = 3\nrank = 4\nalpha = 8\n\
             [[data]]\nname = 'colours'\npath = 'colours.jsonl'\n[[data]]\nname = 'ways'\npath = 'ways.jsonl'\n\
             [[eval]]\nname = 'ways'\npath = 'ways.jsonl'\n\
             [train]\nsteps = {steps}\nmicro_batch = 4\nlr = 0.01\neval_every = 3\ncheckpoint_every = 3\n",
            model.display()
        );
        let path = self.folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        let config = TrainConfig::read(&path).unwrap();
        let load = LoadRequest {
            model: ModelSource::Folder(model),
            adapter: None,
            device: DeviceChoice::Cpu,
            precision: None,
            aspect_ratio: None,
        };
        let request = TrainRequest { config, start: Start::ForceResume, skip_bad: 0 };
        self.engine.send(Command::Train(Box::new(TrainCommand { load, request })));
        loop {
            match self.engine.events().recv_blocking().expect("the engine is there") {
                Event::Trained(finished) => return assert_eq!(finished.step, steps),
                Event::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// The newest step's line.
    fn last_step(&self) -> Value {
        let text = std::fs::read_to_string(self.output().join("metrics.jsonl")).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.rfind(|line| line.get("loss").is_some()).unwrap()
    }
}

#[test]
fn a_real_run_is_shown_and_followed() {
    let run = Run::new();
    let mut harness = panel(Some(&run.output()), Language::English);
    wait_for(&mut harness, "There is no folder");
    run.train(6);
    wait_for(&mut harness, "Step 6 of 6 (100%)");
    wait_for(&mut harness, "The run has ended; its result is in adapter/.");
    let line = run.last_step();
    let headline = harness.get_by_label_contains("Step 6 of 6");
    let headline = headline.accesskit_node();
    let headline = headline.label().or_else(|| headline.value()).unwrap();
    let loss = format!("loss {:.3} ", line["loss"].as_f64().unwrap());
    assert!(headline.contains(&loss), "{headline} is without {loss}");
    harness.get_by_label_contains("The newest checkpoint is of step 6.");
    harness.get_by_label_contains("The best held-out loss is ");
    for name in ["Loss: total ", "Learning rate: ", "Expert load: expert 0 ", "Tokens per second: ", "Gradient norm: "]
    {
        harness.get_by_label_contains(name);
    }
    // Six values need no window to be averaged over: the key has the last one as it is.
    for name in ["colours", "ways"] {
        let loss = format!("{name} {:.3}", line["by_data"][name].as_f64().unwrap());
        let mut boxes = harness.query_all_by_role(egui::Role::CheckBox);
        assert!(
            boxes.any(|node| node.accesskit_node().label().is_some_and(|label| label.starts_with(&loss))),
            "{loss}"
        );
    }
    // Taken up again for more steps.
    run.train(9);
    wait_for(&mut harness, "Step 9 of 9");
}

#[test]
fn a_file_that_grows_is_torn_and_is_rewritten() {
    let root = tempfile::tempdir().unwrap();
    let metrics = root.path().join("metrics.jsonl");
    let mut harness = panel(Some(root.path()), Language::English);
    wait_for(&mut harness, "has no metrics.jsonl");
    std::fs::write(&metrics, "").unwrap();
    wait_for(&mut harness, "has no step yet");
    let line = |step: u64, loss: f64| format!("{{\"step\":{step},\"loss\":{loss},\"by_data\":{{\"a\":{loss}}}}}\n");
    let start = line(1, 3.0) + &line(2, 2.0);
    std::fs::write(&metrics, format!("{start}{{\"step\":3,\"lo")).unwrap();
    wait_for(&mut harness, "Step 2 · loss 2.000");
    std::fs::write(&metrics, format!("{start}no line\n{}", line(4, 1.5))).unwrap();
    wait_for(&mut harness, "Step 4 · loss 1.500");
    harness.get_by_label_contains("could not be read and were left out: 1.");
    // Resumed from step 1.
    std::fs::write(&metrics, line(1, 3.0) + &line(2, 2.5)).unwrap();
    wait_for(&mut harness, "Step 2 · loss 2.500");
    assert!(harness.query_by_label_contains("could not be read").is_none(), "that line is gone");
    // The folder goes, as when a drive is taken off: what was read stays.
    std::fs::remove_dir_all(root.path()).unwrap();
    wait_for(&mut harness, "There is no folder");
    harness.get_by_label_contains("Step 2 · loss 2.500");
}

#[test]
fn by_keyboard_alone_in_both_languages() {
    let root = tempfile::tempdir().unwrap();
    let line = r#"{"step":1,"loss":2.0,"lr":0.1,"grad_norm":1.0,"tokens":9,"tokens_per_second":9.0,"expert_load":[[0.4,0.6],[1.0,0.0]],"by_data":{"a":2.0}}"#;
    std::fs::write(root.path().join("metrics.jsonl"), format!("{line}\n")).unwrap();
    for (language, folder, open, close, layer, step) in [
        (Language::English, "Folder", "Open folder…", "Close run", "Layer", "Step 1 · loss 2.000"),
        (Language::Chinese, "文件夹", "打开文件夹…", "关闭训练", "层", "第 1 步，损失 2.000"),
    ] {
        let mut harness = panel(None, language);
        harness.run();
        // The field is the first stop, the button behind it the next.
        harness.key_press(Key::Tab);
        harness.run();
        assert!(harness.get_by_role_and_label(egui::Role::TextInput, folder).is_focused());
        harness.get_by_role_and_label(egui::Role::TextInput, folder).type_text(&root.path().display().to_string());
        harness.run();
        harness.key_press(Key::Enter);
        wait_for(&mut harness, step);
        assert_eq!(harness.state().state.run.as_deref(), Some(root.path()));

        harness.get_by_label(open).focus();
        harness.run();
        harness.key_press(Key::Space);
        harness.run();
        assert!(matches!(harness.state().effects.as_slice(), [Effect::PickRun]), "{:?}", harness.state().effects);

        // Every stop has a name, and all are reached.
        let mut stops = Vec::new();
        for _ in 0..20 {
            harness.key_press(Key::Tab);
            harness.run();
            let focused = harness.root().children_recursive().find(|node| node.is_focused());
            let Some(focused) = focused else { continue };
            let name = focused.accesskit_node().label().unwrap_or_default();
            assert!(!name.trim().is_empty(), "{:?} has no name", focused.accesskit_node().role());
            stops.push(name);
        }
        for name in [folder, open, close, layer, "a 2.000"] {
            assert!(stops.iter().any(|stop| stop == name), "{name} is not among {stops:?}");
        }
        harness.check_accessibility();

        harness.get_by_label(close).focus();
        harness.run();
        harness.key_press(Key::Enter);
        harness.run();
        assert_eq!(harness.state().state.run, None);
        assert!(harness.query_by_label_contains(step).is_none());
    }
}

#[test]
fn curves_are_chosen_and_scaled() {
    let root = tempfile::tempdir().unwrap();
    let line = |step: u64| {
        format!(
            "{{\"step\":{step},\"loss\":{},\"expert_load\":[[0.25,0.75],[0.5,0.5]],\"by_data\":{{\"a\":1.0,\"b\":2.0}}}}\n",
            5.0 / step as f64
        )
    };
    std::fs::write(root.path().join("metrics.jsonl"), (1..100).map(line).collect::<String>()).unwrap();
    let mut harness = panel(Some(root.path()), Language::English);
    wait_for(&mut harness, "Step 99");
    for name in ["Logarithmic loss", "Each step", "b 2.000"] {
        harness.get_by_label(name).click();
        harness.run();
    }
    harness.get_by_label_contains("Expert load: expert 0 38%, expert 1 62%");
    harness.get_by_label("Layer").click();
    harness.run();
    harness.get_by_label("1").click();
    harness.run();
    harness.get_by_label_contains("Expert load: expert 0 50%, expert 1 50%");
    harness.get_by_label_contains("the fullest is expert 1 of layer 0 with 75%");
    harness.get_by_label("All steps").click();
    harness.run();
}

/// A line as a run of a small model with experts writes it.
fn long_line(step: u64) -> String {
    let loss = 4.0 / (1.0 + step as f64 / 2e4) + (step % 97) as f64 / 200.0;
    let share = 0.2 + (step % 31) as f64 / 100.0;
    format!(
        "{{\"step\":{step},\"loss\":{loss},\"lm_loss\":{loss},\"balance_loss\":0.34,\"lr\":0.0002,\"projector_lr\":2e-5,\
         \"grad_norm\":{},\"tokens\":2048,\"supervised_tokens\":311,\"tokens_per_second\":{},\"expert_load\":\
         [[{share},{}],[0.5,0.5]],\"by_data\":{{\"document\":{loss},\"general\":{},\"medical\":{}}}}}\n",
        1.0 + share,
        8000.0 + 1000.0 * share,
        1.0 - share,
        loss * 0.8,
        loss * 1.2,
    )
}

/// A million lines: 350 MB, thinned to some thousand points. `cargo test --test training_view -- --ignored --nocapture`.
#[test]
#[ignore = "writes a file of 350 MB; a tenth of it is in the test below"]
fn a_million_steps_draw_within_a_frame() {
    draws_within_a_frame(1_000_000);
}

#[test]
fn a_hundred_thousand_steps_draw_within_a_frame() {
    draws_within_a_frame(100_000);
}

fn draws_within_a_frame(steps: u64) {
    let root = tempfile::tempdir().unwrap();
    let mut file = std::io::BufWriter::new(std::fs::File::create(root.path().join("metrics.jsonl")).unwrap());
    for step in 1..=steps {
        std::io::Write::write_all(&mut file, long_line(step).as_bytes()).unwrap();
    }
    drop(file);
    let started = Instant::now();
    let mut harness = panel(Some(root.path()), Language::English);
    let digits = steps.to_string();
    let (thousands, rest) = digits.split_at(digits.len() - 3);
    let last = match thousands.len() {
        4.. => format!("Step {},{},{rest}", &thousands[..thousands.len() - 3], &thousands[thousands.len() - 3..]),
        _ => format!("Step {thousands},{rest}"),
    };
    let mut slowest_while_reading = Duration::ZERO;
    while harness.query_by_label_contains(&last).is_none() {
        assert!(started.elapsed() < Duration::from_secs(300), "{:?}", texts(&harness));
        let frame = Instant::now();
        harness.step();
        slowest_while_reading = slowest_while_reading.max(frame.elapsed());
    }
    let read = started.elapsed();
    let mut frames: Vec<Duration> = (0..60)
        .map(|_| {
            let frame = Instant::now();
            harness.step();
            frame.elapsed()
        })
        .collect();
    frames.sort();
    eprintln!(
        "{steps} steps: read in {read:.1?}, slowest frame meanwhile {slowest_while_reading:.1?}; then a frame takes {:.1?}, \
         the slowest {:.1?}",
        frames[30], frames[59]
    );
    // The tests' build is optimised little, and shares its cores: the promise is 16 ms.
    assert!(frames[30] < Duration::from_millis(50), "a frame takes {:?}", frames[30]);
}
