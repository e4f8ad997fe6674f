//! The window: opens it, feeds the app, carries out what it wants done.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, unbounded};
use eframe::egui_wgpu::wgpu;
use egui::{Context, ViewportBuilder, ViewportCommand};
use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::{Engine, Event, ModelSource};
use mole_runtime::model::Precision;

use super::dialogs::Dialogs;
use super::store::{Store, data_folder};
use crate::language::Language;
use crate::state::{Action, Arrival, Demo, Effect, Notice, Slot, State};
use crate::ui::{App, fonts};
use crate::{demo, samples};

/// A GPU that is lost more often than this is not opened again.
const LOST_AGAIN: Duration = Duration::from_secs(60);

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The checkpoint; none is the demo model.
    pub model: Option<std::path::PathBuf>,
    /// The adapter on it.
    pub adapter: Option<std::path::PathBuf>,
    /// Where it is to run.
    pub device: DeviceChoice,
    /// How its weights are to be kept.
    pub weights: Option<Precision>,
    /// The app's language; none as it was chosen before, or as the system's.
    pub language: Option<Language>,
}

/// Whether there is a display to open a window on.
pub fn has_display() -> bool {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(not(all(unix, not(target_os = "macos")))) || named("DISPLAY") || named("WAYLAND_DISPLAY")
}

/// Opens the window, and returns when it is closed.
///
/// # Errors
/// What the system said where it opens none.
pub fn run(launch: &Launch) -> Result<(), eframe::Error> {
    let engine = Rc::new(Engine::spawn());
    let (outside, inbox) = unbounded();
    let wake = Wake::default();
    forward(engine.events().clone(), outside.clone(), wake.clone());
    let system_language = Language::of_locale(&sys_locale::get_locale().unwrap_or_default());
    let store = {
        let wake = wake.clone();
        Rc::new(Store::open(data_folder(), system_language, outside.clone(), move || wake.wake()))
    };
    let mut state = State::default();
    (state.system_language, state.samples) = (system_language, samples::embedded());
    // The preferences are there already: the window opens as it was left, but for what the command line says.
    while let Ok(arrival) = inbox.try_recv() {
        state.arrive(arrival);
    }
    begin(&mut state, launch);
    let mut lost_before: Option<Instant> = None;
    loop {
        let carried = Rc::new(RefCell::new(Some(state)));
        let lost = Arc::new(AtomicBool::new(false));
        let shell = Shell {
            engine: Rc::clone(&engine),
            store: Rc::clone(&store),
            outside: outside.clone(),
            inbox: inbox.clone(),
            carried: Rc::clone(&carried),
            lost: Arc::clone(&lost),
            wake: wake.clone(),
        };
        let options = eframe::NativeOptions {
            viewport: ViewportBuilder::default()
                .with_title("llava-mole")
                .with_app_id("llava-mole")
                .with_inner_size([1180.0, 800.0])
                .with_min_inner_size([360.0, 320.0]),
            persist_window: false,
            ..Default::default()
        };
        eframe::run_native("llava-mole", options, Box::new(move |creation| Ok(Box::new(shell.window(creation)))))?;
        let again = lost_before.is_some_and(|before| before.elapsed() < LOST_AGAIN);
        if !lost.load(Ordering::Relaxed) || again {
            return Ok(());
        }
        lost_before = Some(Instant::now());
        let Some(left) = carried.take() else { return Ok(()) };
        state = left;
        let text = state.language().pick(
            "The GPU was lost and the window opened anew; the conversation is kept.",
            "GPU 已丢失，窗口已重新打开；对话已保留。",
        );
        let _ = outside.try_send(Arrival::Notice(Notice::error(text)));
    }
}

/// What the command line says.
fn begin(state: &mut State, launch: &Launch) {
    if launch.language.is_some() {
        state.preferences.language = launch.language;
    }
    state.models.device = launch.device;
    state.models.weights = launch.weights;
    // A model that is named is not loaded before it is in its place, nor is the demo model before it.
    if let Some(folder) = &launch.model {
        state.arrive(Arrival::Folder(Slot::Model, ModelSource::Folder(folder.clone())));
    }
    if let Some(folder) = &launch.adapter {
        state.arrive(Arrival::Folder(Slot::Adapter, ModelSource::Folder(folder.clone())));
    }
    state.arrive(Arrival::Demo(Demo { model: demo::model(), adapter: demo::adapter() }));
    if launch.model.is_some() {
        state.act(Action::Load);
    }
}

/// What a window needs of the world outside.
struct Shell {
    engine: Rc<Engine>,
    store: Rc<Store>,
    outside: Sender<Arrival>,
    inbox: Receiver<Arrival>,
    /// The state, before the window opens and after it closed.
    carried: Rc<RefCell<Option<State>>>,
    /// Whether the window's own GPU device was lost.
    lost: Arc<AtomicBool>,
    wake: Wake,
}

impl Shell {
    fn window(self, creation: &eframe::CreationContext<'_>) -> Window {
        let ctx = creation.egui_ctx.clone();
        if let Some(render) = &creation.wgpu_render_state {
            watch(&render.device, &self.lost, &ctx);
        }
        self.wake.set(&ctx);
        let state = self.carried.take().expect("put there before the window");
        let channel = (self.outside.clone(), self.inbox.clone());
        let (engine, store, outside, of_dialogs) = (self.engine, self.store, self.outside, ctx.clone());
        let language = Rc::new(RefCell::new(state.language()));
        let perform = {
            let language = Rc::clone(&language);
            move |effect| {
                let dialogs =
                    || Dialogs { outside: outside.clone(), ctx: of_dialogs.clone(), language: *language.borrow() };
                match effect {
                    Effect::Engine(command) => engine.send(command),
                    Effect::PickPictures => dialogs().pictures(),
                    Effect::PickFolder(slot) => dialogs().folder(slot),
                    Effect::PickRun => dialogs().run(),
                    Effect::Save { name, bytes } => dialogs().save(name, bytes),
                    Effect::Record(record) => store.record(record),
                    Effect::Remember(preferences) => store.remember(preferences),
                }
            }
        };
        fonts::install(&ctx, fonts::CHINESE.into());
        let app = App::new(&ctx, state, channel, Box::new(perform));
        Window { app: Some(app), carried: self.carried, lost: self.lost, language }
    }
}

/// The window's own device, apart from the engine's: a model too many does not take the window with it.
fn watch(device: &wgpu::Device, lost: &Arc<AtomicBool>, ctx: &Context) {
    let (lost, ctx) = (Arc::clone(lost), ctx.clone());
    device.set_device_lost_callback(move |_, reason| {
        log::error!("the window's GPU device was lost: {reason}");
        lost.store(true, Ordering::Relaxed);
        ctx.request_repaint();
    });
    // wgpu's own handler ends the process.
    device.on_uncaptured_error(Arc::new(|error| log::error!("drawing the window: {error}")));
}

/// Has the window that is open drawn again, from any thread.
#[derive(Clone, Default)]
struct Wake(Arc<Mutex<Option<Context>>>);

impl Wake {
    fn set(&self, ctx: &Context) {
        *self.0.lock().expect("nothing panics while it is held") = Some(ctx.clone());
    }

    fn wake(&self) {
        let ctx = self.0.lock().expect("nothing panics while it is held").clone();
        if let Some(ctx) = ctx {
            ctx.request_repaint();
        }
    }
}

/// Passes the engine's events on.
fn forward(events: Receiver<Event>, outside: Sender<Arrival>, wake: Wake) {
    let passing = move || {
        while let Ok(event) = events.recv_blocking() {
            if outside.try_send(Arrival::Engine(event)).is_err() {
                return;
            }
            wake.wake();
        }
    };
    std::thread::Builder::new().name("events".to_string()).spawn(passing).expect("the system can start a thread");
}

/// The app in a window.
struct Window {
    /// None after the window closed.
    app: Option<App>,
    carried: Rc<RefCell<Option<State>>>,
    lost: Arc<AtomicBool>,
    language: Rc<RefCell<Language>>,
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        if self.lost.load(Ordering::Relaxed) {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        if let Some(app) = &mut self.app {
            app.logic();
            *self.language.borrow_mut() = app.state().language();
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        if let Some(app) = &mut self.app {
            app.ui(ui);
        }
    }

    fn on_exit(&mut self) {
        *self.carried.borrow_mut() = self.app.take().map(App::into_state);
    }
}
