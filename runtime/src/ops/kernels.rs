//! Which kernels run where there is a choice.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which kernels run where there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The fastest for the device.
    #[default]
    Fast,
    /// The simplest, the same on every device: no fused decoding, no captured graph, no matrix units.
    Plain,
}

static PLAIN: AtomicBool = AtomicBool::new(false);

impl Kernels {
    /// Those this process uses.
    pub fn chosen() -> Self {
        if PLAIN.load(Ordering::Relaxed) { Self::Plain } else { Self::Fast }
    }

    /// From now on this process uses these. For the command line, before a device is opened; and for tests.
    pub fn choose(self) {
        PLAIN.store(self == Self::Plain, Ordering::Relaxed);
    }
}

impl FromStr for Kernels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fast" => Ok(Self::Fast),
            "plain" => Ok(Self::Plain),
            _ => Err(format!("{text:?} is not fast or plain")),
        }
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Plain => "plain",
        })
    }
}
