//! The engine's events, on their way to the app.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use llava_mole::state::Arrival;
use mole_runtime::device::{AdapterKind, DeviceChoice};
use mole_runtime::engine::{Engine, Event, ModelInfo, ReplyRouting};
use serde_json::json;

use crate::files::window;
use crate::host::Host;
use crate::inbox::Inbox;

/// What the page's scripts may ask about the engine.
#[derive(Default)]
pub struct Seen {
    /// How many experts a layer of the loaded model has; 0 for none.
    pub experts: Cell<usize>,
    /// Where the tokens of a script's last question went.
    pub routing: RefCell<Option<ReplyRouting>>,
}

/// Hands every event to the app, until the engine ends.
pub async fn forward(engine: Rc<Engine>, inbox: Inbox, host: Host, choice: DeviceChoice, seen: Rc<Seen>) {
    let events = engine.events().clone();
    drop(engine);
    let (mut ready, mut slow) = (false, choice == DeviceChoice::Cpu);
    while let Ok(event) = events.recv().await {
        match &event {
            Event::Loaded(info) => {
                seen.experts.set(info.adapter.as_ref().map_or(0, |adapter| adapter.experts));
                host.loaded(&loaded(info));
                ready = true;
                if info.device.kind == AdapterKind::Cpu && !std::mem::replace(&mut slow, true) {
                    say_why_the_cpu(&inbox);
                }
            }
            Event::Failed(error) if !ready => host.unloadable(&error.to_string()),
            _ => {}
        }
        inbox.arrive(Arrival::Engine(event));
    }
}

fn loaded(info: &ModelInfo) -> String {
    let device = json!({ "name": info.device.name, "kind": info.device.kind, "backend": info.device.backend });
    let adapter = info.adapter.as_ref().map(|adapter| json!({ "name": adapter.name, "experts": adapter.experts }));
    let model = json!({
        "name": info.name, "adapter": adapter, "parameters": info.parameters, "context": info.context,
        "weights": info.weights,
    });
    json!({ "device": device, "model": model }).to_string()
}

/// A page without a GPU works, and more slowly than it could.
fn say_why_the_cpu(inbox: &Inbox) {
    if window().is_secure_context() {
        inbox.info(
            "This browser offers no graphics card to compute with (WebGPU), so the CPU answers, and more slowly. A \
             current Chrome, Edge, Firefox or Safari offers it where hardware acceleration is on.",
            "此浏览器不提供可用于计算的显卡（WebGPU），因此由 CPU 回答，速度较慢。\
             开启硬件加速的新版 Chrome、Edge、Firefox 或 Safari 均支持。",
        );
    } else {
        inbox.info(
            "Browsers offer WebGPU over HTTPS alone, so the CPU answers, and more slowly. Open this page with https://.",
            "浏览器仅在 HTTPS 下提供 WebGPU，因此由 CPU 回答，速度较慢。请用 https:// 打开此页面。",
        );
    }
}
