//! Lets a page live while the engine works: a page has one thread, and without a break it neither draws nor hears.

/// Lets the page do what waits; nothing natively, where the engine has a thread of its own.
#[cfg(not(target_arch = "wasm32"))]
pub async fn breathe() {}

/// Lets the page do what waits: events, frames, timers.
///
/// A message to ourselves ends the current task. A timer would too, but browsers hold those of a background tab back for
/// a second or more.
#[cfg(target_arch = "wasm32")]
pub async fn breathe() {
    use wasm_bindgen::JsCast;
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let Ok(channel) = web_sys::MessageChannel::new() else {
            // Without messages no break: the page is slow, not wrong.
            let _ = resolve.call0(&wasm_bindgen::JsValue::NULL);
            return;
        };
        let (port, other) = (channel.port1(), channel.port2());
        let close = port.clone();
        let on_message = wasm_bindgen::closure::Closure::once_into_js(move || {
            close.close();
            let _ = resolve.call0(&wasm_bindgen::JsValue::NULL);
        });
        port.set_onmessage(Some(on_message.unchecked_ref()));
        let _ = other.post_message(&wasm_bindgen::JsValue::NULL);
    });
    let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
}
