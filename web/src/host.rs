//! What the page's script offers: the things that happen outside the canvas.

use std::cell::RefCell;

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// The page's script, `page/start.js`.
    #[derive(Clone)]
    pub type Host;

    /// The first frame was drawn.
    #[wasm_bindgen(method)]
    pub fn shown(this: &Host);

    /// A model is ready: `{device, model}` as JSON.
    #[wasm_bindgen(method)]
    pub fn loaded(this: &Host, info: &str);

    /// There will be no model until the person does something.
    #[wasm_bindgen(method)]
    pub fn unloadable(this: &Host, reason: &str);

    /// Something for screen readers, which see nothing of a canvas.
    #[wasm_bindgen(method)]
    pub fn tell(this: &Host, text: &str);

    /// This instance cannot go on.
    #[wasm_bindgen(method)]
    pub fn died(this: &Host, reason: &str);
}

thread_local! {
    /// For the panic hook and the callbacks of drivers, which may own nothing of the page's.
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// Reports the end of this instance, whatever ends it.
pub fn watch(host: &Host) {
    HOST.set(Some(host.clone()));
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        died(&info.to_string());
    }));
}

/// This instance ends as it should; what comes down with it is nothing to report.
pub fn unwatch() {
    HOST.set(None);
}

/// This instance cannot go on.
pub fn died(reason: &str) {
    // Nothing here may panic again.
    HOST.with(|host| {
        if let Ok(Some(host)) = host.try_borrow().as_deref() {
            host.died(reason);
        }
    });
}
