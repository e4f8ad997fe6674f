//! Work shared out among the cores; a page has one.

/// `work` with the number of each part of `len` values, and the part.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn parts(values: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    use rayon::prelude::*;
    match values.len() <= len {
        true => work(0, values),
        false => values.par_chunks_mut(len).enumerate().for_each(|(part, into)| work(part, into)),
    }
}

/// `work` with the number of each part of `len` values, and the part.
#[cfg(target_arch = "wasm32")]
pub(super) fn parts(values: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32])) {
    values.chunks_mut(len.max(1)).enumerate().for_each(|(part, into)| work(part, into));
}
