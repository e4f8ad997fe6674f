//! A step's result on its way to the host.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use cubecl::client::Client;
use cubecl::server::Handle;

use super::DecodedToken;
use crate::error::{Error, Result};

type Reading = Pin<Box<dyn Future<Output = Result<DecodedToken>> + Send>>;

/// A step's result, whose copy was queued right behind the step: what is launched later does not delay it.
///
/// A copy that was begun must be seen through, or the buffer it goes to stays mapped and cannot be used again. Dropping
/// this therefore waits for the step, in a page in the background.
pub struct TokenRead {
    state: State,
}

enum State {
    Reading(Reading),
    Ready(Result<DecodedToken>),
    Done,
}

/// Where a step leaves its routing: `[layers, stride]`, of which the first `experts + 1` count.
#[derive(Clone, Copy)]
pub(super) struct RoutingLayout {
    pub layers: usize,
    pub stride: usize,
    pub experts: usize,
}

impl TokenRead {
    /// Begins to copy the token, and the routing where there is any.
    pub(super) fn begin(client: Client, token: Handle, routing: Option<(Handle, RoutingLayout)>) -> Self {
        let layout = routing.as_ref().map(|(_, layout)| *layout);
        let handles = std::iter::once(token).chain(routing.map(|(handle, _)| handle)).collect();
        let mut reading: Reading = Box::pin(async move {
            let bytes = client.read_async(handles).await;
            let bytes = bytes.map_err(|error| Error::Device(format!("a decode step failed: {error:?}")))?;
            let token = bytemuck::pod_read_unaligned::<i32>(&bytes[0][..4]);
            let routing = layout.map(|RoutingLayout { layers, stride, experts }| {
                let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes[1][..4 * layers * stride]);
                let rows = || values.chunks_exact(stride);
                let probs = rows().flat_map(|row| row[..experts].iter().copied()).collect();
                (probs, rows().map(|row| row[experts] as i32).collect())
            });
            Ok(DecodedToken { token, routing })
        });
        // A future begins when it is first polled: now.
        let state = match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => State::Ready(result),
            Poll::Pending => State::Reading(reading),
        };
        Self { state }
    }
}

impl Future for TokenRead {
    type Output = Result<DecodedToken>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match std::mem::replace(&mut self.state, State::Done) {
            State::Ready(result) => result,
            State::Reading(mut reading) => match reading.as_mut().poll(context) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    self.state = State::Reading(reading);
                    return Poll::Pending;
                }
            },
            State::Done => panic!("polled after it was ready"),
        };
        Poll::Ready(result)
    }
}

impl Drop for TokenRead {
    fn drop(&mut self) {
        if let State::Reading(reading) = std::mem::replace(&mut self.state, State::Done) {
            finish(reading);
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn finish(reading: Reading) {
    // What it says does not matter any more.
    let _ = cubecl::future::reader::read_sync(reading);
}

#[cfg(target_arch = "wasm32")]
fn finish(reading: Reading) {
    wasm_bindgen_futures::spawn_local(async move {
        let _ = reading.await;
    });
}
