//! Work beside the frames: a thread natively, a task of the page in a browser.

/// Runs to its end, some time later.
#[cfg(not(target_arch = "wasm32"))]
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    let name = "beside the window".to_string();
    // A system that starts no thread any more has worse to tell than a picture that does not appear.
    let _ = std::thread::Builder::new().name(name).spawn(move || pollster::block_on(work));
}

/// Runs to its end, some time later.
#[cfg(target_arch = "wasm32")]
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(work);
}
