//! Which expert every token went to, as data: sums over it, and what is exported. Knows no window.

mod trace;

pub use trace::Trace;
