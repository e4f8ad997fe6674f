//! One piece of work for each of many items, on all cores.

use std::ops::ControlFlow;

/// Most threads; each may hold a decoded picture of 300 MB.
#[cfg(not(target_arch = "wasm32"))]
const MAX_THREADS: usize = 8;

/// Does `work` for all items and hands what comes of it to `take`, in whatever order, until that breaks.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn each<I: Sync, T: Send, B>(
    items: &[I],
    work: impl Fn(&I) -> T + Sync,
    take: impl FnMut(T) -> ControlFlow<B>,
) -> ControlFlow<B> {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = std::sync::mpsc::sync_channel(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody listens any more: it was broken off.
                    if sender.send(work(item)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        // Dropped at the end of this block, before the threads are waited for: they would wait for it to take.
        let receiver = receiver;
        receiver.iter().try_for_each(take)
    })
}

/// A page has one thread.
#[cfg(target_arch = "wasm32")]
pub(super) fn each<I, T, B>(
    items: &[I],
    work: impl Fn(&I) -> T,
    take: impl FnMut(T) -> ControlFlow<B>,
) -> ControlFlow<B> {
    items.iter().map(work).try_for_each(take)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        for count in [0, 1, 5, 1000] {
            let items: Vec<usize> = (0..count).collect();
            let mut found = Vec::new();
            let all = each(
                &items,
                |item| item * 2,
                |double| {
                    found.push(double);
                    ControlFlow::<()>::Continue(())
                },
            );
            assert!(all.is_continue());
            found.sort_unstable();
            assert!(found.into_iter().eq((0..count).map(|item| item * 2)));
        }
    }

    #[test]
    fn a_break_ends_the_work() {
        let worked = AtomicUsize::new(0);
        let items = [0; 100_000];
        let broken = each(&items, |_| worked.fetch_add(1, Ordering::Relaxed), |_| ControlFlow::Break("enough"));
        assert_eq!(broken, ControlFlow::Break("enough"));
        // What the threads had begun, and what waited to be taken.
        assert!(worked.into_inner() < 1000);
    }
}
