//! Loading ahead: while the device works on one sample, a thread reads the next ones.
//!
//! In order, and never more than asked for: what is ready waits in a bounded channel. In a page, which has one thread,
//! each is loaded when it is asked for.

use crate::error::Result;

/// What `load` makes of the numbers from a start on, one after the other.
///
/// Dropping it ends the thread after the item it is at.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct Prefetch<T> {
    receiver: std::sync::mpsc::Receiver<Result<T>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + 'static> Prefetch<T> {
    /// Begins to load.
    ///
    /// - `start`: the first number.
    /// - `depth`: how many items may be ready and not yet asked for.
    pub fn new(start: u64, depth: usize, load: impl Fn(u64) -> Result<T> + Send + 'static) -> Self {
        let (sender, receiver) = std::sync::mpsc::sync_channel(depth);
        let thread = std::thread::spawn(move || {
            // Sending fails once nobody is there to ask.
            (start..).map(load).try_for_each(|item| sender.send(item)).ok();
        });
        Self { receiver, thread: Some(thread) }
    }

    /// The next item. After an error it goes on with the number behind it.
    ///
    /// # Errors
    /// What `load` says about this number.
    ///
    /// # Panics
    /// If `load` did.
    #[expect(clippy::should_implement_trait, reason = "an iterator may end, this does not")]
    pub fn next(&mut self) -> Result<T> {
        if let Ok(item) = self.receiver.recv() {
            return item;
        }
        match self.thread.take().map(std::thread::JoinHandle::join) {
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            _ => panic!("the loading thread panicked before"),
        }
    }
}

/// What `load` makes of the numbers from a start on, one after the other.
#[cfg(target_arch = "wasm32")]
pub struct Prefetch<T> {
    next: u64,
    load: Box<dyn Fn(u64) -> Result<T>>,
}

#[cfg(target_arch = "wasm32")]
impl<T: 'static> Prefetch<T> {
    /// Remembers what to load.
    ///
    /// - `start`: the first number.
    pub fn new(start: u64, _depth: usize, load: impl Fn(u64) -> Result<T> + 'static) -> Self {
        Self { next: start, load: Box::new(load) }
    }

    /// The next item. After an error it goes on with the number behind it.
    ///
    /// # Errors
    /// What `load` says about this number.
    #[expect(clippy::should_implement_trait, reason = "an iterator may end, this does not")]
    pub fn next(&mut self) -> Result<T> {
        self.next += 1;
        (self.load)(self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::*;
    use crate::error::Error;

    #[test]
    fn items_and_errors_come_in_order() {
        let load = |n: u64| if n.is_multiple_of(3) { Err(Error::Training(n.to_string())) } else { Ok(n) };
        let mut prefetch = Prefetch::new(5, 2, load);
        for n in 5..50_u64 {
            match prefetch.next() {
                Ok(item) => assert_eq!((item, !n.is_multiple_of(3)), (n, true)),
                Err(error) => assert_eq!(error.to_string(), format!("training: {n}")),
            }
        }
    }

    #[test]
    fn no_more_is_loaded_than_asked_for() {
        let loaded = Arc::new(AtomicU64::new(0));
        let (ready, waits) = mpsc::channel();
        let counter = Arc::clone(&loaded);
        let mut prefetch = Prefetch::new(0, 3, move |n| {
            counter.fetch_add(1, Ordering::SeqCst);
            ready.send(n).ok();
            Ok(n)
        });
        // Three wait in the channel and one in the thread's hand.
        (0..4).for_each(|n| assert_eq!(waits.recv().unwrap(), n));
        assert!(waits.recv_timeout(Duration::from_millis(50)).is_err());
        assert_eq!(loaded.load(Ordering::SeqCst), 4);
        assert_eq!(prefetch.next().unwrap(), 0);
        assert_eq!(waits.recv().unwrap(), 4);
    }

    #[test]
    fn the_thread_ends_with_its_listener() {
        for depth in [0, 1, 4] {
            let (alive, ends) = mpsc::channel::<()>();
            let prefetch = Prefetch::new(0, depth, move |n| {
                let _alive = &alive;
                Ok(n)
            });
            drop(prefetch);
            // The other end is dropped with the closure.
            let ended = ends.recv_timeout(Duration::from_secs(10));
            assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
        }
    }

    #[test]
    fn a_panic_is_passed_on() {
        let mut prefetch = Prefetch::new(0, 1, |n| if n == 1 { panic!("number {n}") } else { Ok(n) });
        assert_eq!(prefetch.next().unwrap(), 0);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| prefetch.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "number 1");
    }
}
