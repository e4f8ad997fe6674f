//! Starts the app in a canvas.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use async_channel::unbounded;
use eframe::{WebOptions, WebRunner};
use llava_mole::language::Language;
use llava_mole::state::{Arrival, State};
use llava_mole::ui::App;
use mole_runtime::device::DeviceChoice;
use mole_runtime::engine::Engine;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlCanvasElement, UrlSearchParams};

use crate::assets;
use crate::demo;
use crate::engine::{self, Seen};
use crate::files::{self, window};
use crate::history::{self, History, Recalled};
use crate::host::{self, Host};
use crate::inbox::Inbox;
use crate::perform::perform;
use crate::storage::Storage;

/// What the page's scripts reach.
pub struct Page {
    pub runner: WebRunner,
    pub inbox: Inbox,
    pub seen: Rc<Seen>,
}

thread_local! {
    static PAGE: RefCell<Option<Page>> = const { RefCell::new(None) };
}

/// Does something with the page, where it is there.
///
/// # Errors
/// Before [`run`], and after [`quit`].
pub fn with_page<T>(f: impl FnOnce(&Page) -> T) -> Result<T, JsError> {
    PAGE.with_borrow(|page| page.as_ref().map(f)).ok_or_else(|| JsError::new("the app has ended; load the page again"))
}

/// Starts the app in `canvas`. Returns when it runs.
///
/// # Errors
/// Where the canvas cannot be drawn to: neither WebGPU nor WebGL.
#[wasm_bindgen]
pub async fn run(canvas: HtmlCanvasElement, host: Host) -> Result<(), JsValue> {
    host::watch(&host);
    let system_language = Language::of_locale(&window().navigator().language().unwrap_or_default());
    let (arrivals, receiver) = unbounded();
    let inbox = Inbox::new(arrivals.clone(), system_language);
    let storage = open_storage(&inbox).await;
    let preferences = match &storage {
        Some(storage) => history::preferences(storage).await,
        None => Default::default(),
    };
    let device = device_of_address(&inbox);
    let (history, writer) = History::new(storage.clone(), inbox.clone());
    spawn_local(writer);

    let engine = Rc::new(Engine::spawn());
    let seen = Rc::new(Seen::default());
    let mut state = State::default();
    (state.preferences, state.system_language, state.models.device) = (preferences, system_language, device);
    let perform = perform(Rc::clone(&engine), history, inbox.clone());

    let runner = WebRunner::new();
    let fonts = assets::latin().await;
    let device_of_window = Rc::new(OnceCell::new());
    let (inbox_of_window, host_of_window, device_out) = (inbox.clone(), host.clone(), Rc::clone(&device_of_window));
    let create: eframe::AppCreator<'static> = Box::new(move |creation| {
        creation.egui_ctx.set_fonts(fonts);
        inbox_of_window.attach(creation.egui_ctx.clone());
        if let Some(render) = &creation.wgpu_render_state {
            let _ = device_out.set(render.device.clone());
        }
        let app = App::new(&creation.egui_ctx, state, (arrivals, receiver), perform);
        Ok(Box::new(Window { app, inbox: inbox_of_window, host: host_of_window, told: 0, pictures: 0, shown: false }))
    });
    runner.start(canvas, WebOptions::default(), create).await?;
    // Only now: a start that fails gives its device back, and that is no loss.
    if let Some(device) = device_of_window.get() {
        device.set_device_lost_callback(|_, reason| host::died(&format!("the GPU was lost: {reason}")));
    }
    PAGE.set(Some(Page { runner, inbox: inbox.clone(), seen: Rc::clone(&seen) }));

    spawn_local(engine::forward(engine, inbox.clone(), host.clone(), device, seen));
    files::watch_paste(&inbox);
    spawn_local(assets::get(inbox.clone()));
    spawn_local(async move {
        // Conversations first: they are short, and looked for at once.
        if let Some(storage) = &storage {
            recall(storage, &inbox).await;
        }
        if let Err(reason) = demo::get(storage, &inbox).await {
            host.unloadable(&reason);
            inbox.error(
                format!(
                    "The demo model could not be fetched ({reason}). Reload the page to go on where it stopped, or \
                     choose a folder with a model."
                ),
                format!("无法下载演示模型（{reason}）。请重新加载页面以继续，或选择一个模型文件夹。"),
            );
        }
    });
    Ok(())
}

/// Ends the app, so that another can take its place.
#[wasm_bindgen]
pub fn quit() {
    host::unwatch();
    if let Some(page) = PAGE.take() {
        page.runner.destroy();
    }
}

async fn open_storage(inbox: &Inbox) -> Option<Rc<Storage>> {
    match Storage::open().await {
        Ok(storage) => Some(Rc::new(storage)),
        Err(reason) => {
            inbox.error(
                format!(
                    "This browser keeps nothing for this page ({reason}): conversations end with it, and the model is \
                     fetched every time. Private windows do so; use a normal one, or export what you want to keep."
                ),
                format!(
                    "浏览器不为此页面保存数据（{reason}）：关闭后对话会丢失，模型每次都要重新下载。\
                     隐私窗口即是如此；请使用普通窗口，或导出需要保留的内容。"
                ),
            );
            None
        }
    }
}

async fn recall(storage: &Storage, inbox: &Inbox) {
    match history::recall(storage).await {
        Ok(Recalled { chats, gone, unread }) => {
            inbox.arrive(Arrival::History(chats));
            if gone > 0 {
                inbox.error(
                    format!("{gone} pictures of earlier conversations are gone from this browser's storage."),
                    format!("以前对话中的 {gone} 张图片已不在浏览器存储中。"),
                );
            }
            if unread > 0 {
                inbox.error(
                    format!(
                        "{unread} records of earlier conversations cannot be read here and are kept as they are. Reload \
                         the page: a newer version of it may read them."
                    ),
                    format!("以前对话的 {unread} 条记录无法读取，已原样保留。请重新加载页面：新版本或许可以读取。"),
                );
            }
        }
        Err(reason) => inbox.error(
            format!("Earlier conversations cannot be read ({reason}); reload the page to try again."),
            format!("无法读取以前的对话（{reason}）；请重新加载页面重试。"),
        ),
    }
}

/// `?device=cpu` and the like, as on the command line.
fn device_of_address(inbox: &Inbox) -> DeviceChoice {
    let query = window().location().search().unwrap_or_default();
    let named = UrlSearchParams::new_with_str(&query).ok().and_then(|query| query.get("device"));
    let Some(named) = named else { return DeviceChoice::default() };
    named.parse().unwrap_or_else(|_| {
        inbox.error(
            format!("The address says device={named}; it can be auto, cpu or gpu. The best device is used."),
            format!("地址中的 device={named} 无效，可用值为 auto、cpu 或 gpu。将使用最佳设备。"),
        );
        DeviceChoice::default()
    })
}

/// The app in its canvas.
pub struct Window {
    app: App,
    inbox: Inbox,
    host: Host,
    /// How many notices screen readers were told of.
    told: usize,
    /// How many pictures of the message that is being written they were told of.
    pictures: usize,
    shown: bool,
}

impl Window {
    /// What the app is.
    pub fn state(&self) -> &State {
        self.app.state()
    }

    /// Repeats outside the canvas what is new in it.
    fn tell(&mut self) {
        let state = self.app.state();
        for notice in state.notices.iter().skip(self.told) {
            self.host.tell(&notice.text);
        }
        self.told = state.notices.len();
        let pictures = state.draft.pictures.len();
        if pictures > self.pictures {
            self.host.tell(&match state.language() {
                Language::English => format!("Pictures to send: {pictures}"),
                Language::Chinese => format!("待发送的图片：{pictures}"),
            });
        }
        self.pictures = pictures;
    }
}

impl eframe::App for Window {
    fn logic(&mut self, _ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.app.logic();
        self.inbox.set_language(self.app.state().language());
        self.tell();
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.app.ui(ui);
        if !std::mem::replace(&mut self.shown, true) {
            self.host.shown();
        }
    }

    fn as_any_mut(&mut self) -> Option<&mut dyn std::any::Any> {
        Some(self)
    }
}
