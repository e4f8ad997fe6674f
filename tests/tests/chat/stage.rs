//! An app on a stage: the harness draws it, the test plays the world outside.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, unbounded};
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use llava_mole::language::Language;
use llava_mole::state::{Action, Arrival, Demo, Effect, State};
use llava_mole::ui::App;
use llava_mole::{demo, samples};
use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{Command, Engine, Event, LoadRequest, ModelInfo, Picture};

/// Roles of what can be operated.
pub const CONTROLS: &[Role] = &[
    Role::Button,
    Role::CheckBox,
    Role::ComboBox,
    Role::Link,
    Role::MultilineTextInput,
    Role::RadioButton,
    Role::Slider,
    Role::SpinButton,
    Role::TextInput,
];

/// Who answers.
enum World {
    /// The engine, with the demo model on the CPU.
    Real(Engine),
    /// Nobody but the test.
    Script,
}

/// The app, drawn, and what it did to the world.
pub struct Stage {
    pub harness: Harness<'static, Option<App>>,
    outside: Sender<Arrival>,
    effects: Rc<RefCell<Vec<Effect>>>,
    world: World,
}

/// How a stage begins.
pub struct Setting {
    pub state: State,
    pub size: [f32; 2],
    pub theme: egui::Theme,
    /// Whether characters may come that no font has: from a model of random weights.
    pub random_words: bool,
}

impl Default for Setting {
    fn default() -> Self {
        let mut state = State::default();
        state.arrive(Arrival::Samples(samples::embedded()));
        state.models.device = DeviceChoice::Cpu;
        Self { state, size: [1100.0, 1000.0], theme: egui::Theme::Dark, random_words: false }
    }
}

impl Setting {
    pub fn in_language(language: Language) -> Self {
        let mut setting = Self::default();
        setting.state.preferences.language = Some(language);
        setting
    }

    /// With the demo model behind it; loaded before this returns.
    pub fn real(self) -> Stage {
        let mut stage = self.stage(World::Real(Engine::spawn()));
        stage.arrive(Arrival::Demo(Demo { model: demo::model(), adapter: demo::adapter() }));
        stage.until("the demo model is loaded", |state| state.models.loaded.is_some());
        stage
    }

    /// With a script behind it, to which the demo model seems loaded.
    pub fn scripted(self) -> Stage {
        let mut stage = self.stage(World::Script);
        stage.arrive(Arrival::Demo(Demo { model: demo::model(), adapter: demo::adapter() }));
        assert!(matches!(stage.commands()[..], [Command::Load(_)]), "the demo model is loaded by itself");
        stage.tell(Event::Loaded(Box::new(info().clone())));
        stage
    }

    /// With a script behind it, and no model.
    pub fn empty(self) -> Stage {
        self.stage(World::Script)
    }

    fn stage(self, world: World) -> Stage {
        let (outside, inbox): (Sender<Arrival>, Receiver<Arrival>) = unbounded();
        let effects = Rc::new(RefCell::new(Vec::new()));
        let (kept, channel) = (Rc::clone(&effects), (outside.clone(), inbox));
        let mut begin = Some((self.state, channel));
        let mut builder = Harness::builder().with_size(self.size).with_theme(self.theme).with_max_steps(32);
        if self.random_words {
            builder = builder.allow_missing_glyphs();
        }
        let harness = builder.build_ui_state(
            move |ui, app: &mut Option<App>| {
                let app = app.get_or_insert_with(|| {
                    let (state, channel) = begin.take().expect("once");
                    llava_mole::ui::fonts::install(ui.ctx(), llava_mole::ui::fonts::CHINESE.into());
                    let kept = Rc::clone(&kept);
                    App::new(ui.ctx(), state, channel, Box::new(move |effect| kept.borrow_mut().push(effect)))
                });
                app.logic();
                app.ui(ui);
            },
            None,
        );
        let mut stage = Stage { harness, outside, effects, world };
        stage.settle();
        stage
    }
}

impl Stage {
    pub fn state(&self) -> &State {
        self.harness.state().as_ref().expect("drawn once").state()
    }

    /// Draws until nothing moves, or a while has passed: what waits for the engine moves for ever.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            self.pass_on();
            self.harness.step();
        }
        self.pass_on();
    }

    /// Gives the real engine what the app has for it, and the app what the engine tells.
    fn pass_on(&mut self) {
        while self.pass_one_on() {}
    }

    /// The same with one event at most. Whether there was one.
    fn pass_one_on(&mut self) -> bool {
        let World::Real(engine) = &self.world else { return false };
        let (commands, rest): (Vec<_>, Vec<_>) =
            self.effects.take().into_iter().partition(|effect| matches!(effect, Effect::Engine(_)));
        *self.effects.borrow_mut() = rest;
        for effect in commands {
            if let Effect::Engine(command) = effect {
                engine.send(command);
            }
        }
        let Ok(event) = engine.events().try_recv() else { return false };
        let _ = self.outside.try_send(Arrival::Engine(event));
        true
    }

    /// Draws one frame after one event of the real engine, however fast it tells them.
    pub fn frame(&mut self) {
        self.pass_one_on();
        self.harness.step();
    }

    /// Draws until the state is as it should be, for at most a minute.
    pub fn until(&mut self, what: &str, done: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(self.state()) {
            assert!(Instant::now() < deadline, "within a minute: {what}");
            self.settle();
            std::thread::sleep(Duration::from_millis(2));
        }
        self.settle();
    }

    /// Something comes from outside.
    pub fn arrive(&mut self, arrival: Arrival) {
        self.outside.try_send(arrival).expect("the app listens");
        self.settle();
    }

    /// The engine tells something.
    pub fn tell(&mut self, event: Event) {
        self.arrive(Arrival::Engine(event));
    }

    /// The person does something that has no control of its own in this test.
    pub fn act(&mut self, action: Action) {
        self.harness.state_mut().as_mut().expect("drawn once").act(action);
        self.settle();
    }

    /// What the app wanted done since this was last asked.
    pub fn effects(&mut self) -> Vec<Effect> {
        self.effects.take()
    }

    /// What the app gave the engine since its effects were last asked for.
    pub fn commands(&mut self) -> Vec<Command> {
        let command = |effect| match effect {
            Effect::Engine(command) => Some(command),
            _ => None,
        };
        self.effects().into_iter().filter_map(command).collect()
    }

    /// Clicks the control of this name.
    pub fn click(&mut self, label: &str) {
        let control = |node: &egui_kittest::Node<'_>| CONTROLS.contains(&node.accesskit_node().role());
        let node = self.harness.query_all_by_label(label).find(control);
        node.unwrap_or_else(|| panic!("there is no control called {label:?}")).click();
        self.settle();
    }

    /// Whether there is a control or text of this name.
    pub fn shows(&self, label: &str) -> bool {
        self.harness.query_all_by_label(label).next().is_some()
    }

    /// Whether a text that holds this is shown.
    pub fn shows_text(&self, part: &str) -> bool {
        self.harness.query_all_by_label_contains(part).next().is_some()
    }

    /// Writes into the message field.
    pub fn write(&mut self, text: &str) {
        let language = self.state().language();
        let field = self.harness.get_by_label(language.pick("Message", "消息"));
        field.focus();
        self.settle();
        self.harness.get_by_label(language.pick("Message", "消息")).type_text(text);
        self.settle();
    }

    /// Presses a key, whatever has the keyboard.
    pub fn press(&mut self, modifiers: egui::Modifiers, key: egui::Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.settle();
    }
}

/// What the real engine says of the demo model.
pub fn info() -> &'static ModelInfo {
    static INFO: OnceLock<ModelInfo> = OnceLock::new();
    INFO.get_or_init(|| {
        let engine = Engine::spawn();
        engine.send(Command::Load(LoadRequest {
            model: demo::model(),
            adapter: Some(demo::adapter()),
            device: DeviceChoice::Cpu,
            precision: None,
            aspect_ratio: None,
        }));
        loop {
            match engine.events().recv_blocking().expect("the engine lives") {
                Event::Loaded(info) => return *info,
                Event::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
    })
}

/// A sample picture.
pub fn sample(name: &str) -> Picture {
    samples::embedded().into_iter().map(|sample| sample.picture).find(|picture| picture.name == name).expect("a sample")
}

/// A file that says it is a picture.
pub fn broken_picture() -> Picture {
    Picture { name: "broken.png".to_string(), bytes: Arc::from(&b"\x89PNG\r\n\x1a\nno"[..]) }
}

impl Stage {
    /// The text field of this name.
    pub fn field<'a>(&'a self, label: &'a str) -> egui_kittest::Node<'a> {
        self.harness.get_by_role_and_label(Role::TextInput, label)
    }
}

impl Stage {
    /// The person does something; the window is not drawn yet.
    pub fn act_quietly(&mut self, action: Action) {
        self.harness.state_mut().as_mut().expect("drawn once").act(action);
    }

    /// The engine tells something; the app hears it in the next frame.
    pub fn arrive_quietly(&mut self, event: Event) {
        self.outside.try_send(Arrival::Engine(event)).expect("the app listens");
    }
}

impl Stage {
    /// Covers what differs from run to run: tokens a second.
    pub fn mask_figures(&mut self) {
        /// More than the widest of these texts, in points.
        const WIDEST: f32 = 360.0;
        let rects: Vec<egui::Rect> = ["tokens/s", "词元/秒", "context", "上下文"]
            .into_iter()
            .flat_map(|part| self.harness.query_all_by_label_contains(part).map(|node| node.rect()).collect::<Vec<_>>())
            .collect();
        for rect in rects {
            // They end at the right; the longer the figure, the further left they begin.
            // A last glyph may reach over the edge.
            self.harness.mask(rect.with_min_x(rect.right() - WIDEST).expand(3.0));
        }
    }
}
