//! What a page does once, before anything else.

use std::sync::Once;

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Runs the constructors of the wasm file. A page calls this before it calls anything else.
///
/// Without it the linker wraps every export in a call of the constructors, and what cubecl registers in them is
/// registered again with every call from JavaScript: launches become slower and slower.
pub fn start() {
    static CONSTRUCTED: Once = Once::new();
    // SAFETY: the linker defines the function in every wasm file; it takes and returns nothing, and runs once.
    CONSTRUCTED.call_once(|| unsafe { __wasm_call_ctors() });
}
