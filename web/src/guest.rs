//! Questions of the page's scripts: what `window.llavaMole` is made of. `docs/page.md` describes it.

use async_channel::unbounded;
use js_sys::{Function, Uint8Array};
use llava_mole::chat::Speaker;
use llava_mole::state::{Arrival, Guest, GuestEvent, Sampling};
use mole_runtime::engine::{Message, Picture, ReplyPrompt, ReplyRequest};
use mole_runtime::text::Role;
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::shell::with_page;

/// Asks the model, with pictures as files; `on_token` is called with every piece of the answer.
///
/// Answers `{text, tokenIds, stopReason}` as JSON.
///
/// # Errors
/// What happened and what to do, in plain words.
#[wasm_bindgen]
pub async fn ask(
    prompt: String,
    pictures: Vec<Uint8Array>,
    max_new_tokens: Option<u32>,
    temperature: Option<f32>,
    on_token: Option<Function>,
) -> Result<String, JsError> {
    let named = |(index, bytes): (usize, Uint8Array)| {
        let name = format!("image {}", index + 1);
        Picture { name, bytes: bytes.to_vec().into() }
    };
    let pictures = pictures.into_iter().enumerate().map(named).collect();
    let defaults = Sampling::default();
    let mut sample = defaults.params();
    sample.temperature = temperature.unwrap_or(sample.temperature);
    let (events, answers) = unbounded();
    let request = |routing| ReplyRequest {
        prompt: ReplyPrompt::Chat(vec![Message { role: Role::User, text: prompt, pictures }]),
        max_new_tokens: max_new_tokens.map_or(defaults.max_new_tokens, |tokens| tokens as usize),
        sample,
        seed: defaults.seed,
        routing,
    };
    with_page(|page| {
        let request = request(page.seen.experts.get() > 0);
        page.inbox.arrive(Arrival::Guest(Guest { request, events }));
    })?;
    while let Ok(event) = answers.recv().await {
        match event {
            GuestEvent::Token(text) => {
                if let Some(on_token) = &on_token {
                    // An error in it is the page's own, and stands in its console.
                    let _ = on_token.call1(&JsValue::NULL, &text.into());
                }
            }
            GuestEvent::Replied(mut reply) => {
                let routing = reply.routing.take();
                with_page(|page| page.seen.routing.replace(routing))?;
                let stop_reason = reply.stop_reason;
                let answer = json!({ "text": reply.text, "tokenIds": reply.token_ids, "stopReason": stop_reason });
                return Ok(answer.to_string());
            }
            GuestEvent::Failed(reason) => return Err(JsError::new(&reason)),
        }
    }
    Err(JsError::new("the question was stopped before it was answered; ask again"))
}

/// Stops the scripts' questions; the person's stay.
///
/// # Errors
/// Where the app has ended.
#[wasm_bindgen]
pub fn stop() -> Result<(), JsError> {
    with_page(|page| page.inbox.arrive(Arrival::GuestStop))
}

/// Where the tokens of the last answer to a script went, as JSON.
///
/// # Errors
/// Where there is no such answer, or the model has no experts.
#[wasm_bindgen]
pub fn routing() -> Result<String, JsError> {
    with_page(|page| match &*page.seen.routing.borrow() {
        Some(routing) => Ok(serde_json::to_string(routing)?),
        None if page.seen.experts.get() == 0 => Err(JsError::new("the model has no experts, so nothing is routed")),
        None => Err(JsError::new("there is no answer yet; call ask() first")),
    })?
}

/// The person's conversations, to read, as JSON: `[{id, title, turns: [{speaker, text, images, ended}]}]`.
///
/// # Errors
/// Where the app has ended.
#[wasm_bindgen]
pub fn conversations() -> Result<String, JsError> {
    with_page(|page| {
        let window = page.runner.app_mut::<crate::shell::Window>();
        let window = window.ok_or_else(|| JsError::new("the app is not there yet; wait for ready"))?;
        let chats = &window.state().chats;
        let list: Vec<_> = chats
            .iter()
            .map(|chat| {
                let turns: Vec<_> = chat
                    .turns
                    .iter()
                    .map(|turn| {
                        let images: Vec<&str> = turn.pictures.iter().map(|picture| picture.name.as_str()).collect();
                        let ended = turn.speaker == Speaker::User || turn.outcome.is_some();
                        json!({ "speaker": turn.speaker, "text": turn.text, "images": images, "ended": ended })
                    })
                    .collect();
                json!({ "id": chat.id, "title": chat.shown_title(), "turns": turns })
            })
            .collect();
        Ok(serde_json::to_string(&list)?)
    })?
}
