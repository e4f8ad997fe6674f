//! Where tokens go, while somebody looks: recorded with an answer as it streams, found out afterwards for a finished one.

use mole_runtime::engine::{Command, ReplyRouting};

use super::work::Work;
use super::{Panel, State};
use crate::chat::{ChatId, Speaker, TurnId};
use crate::routing::Trace;

impl State {
    /// The shown conversation's last answer is traced, if it has one and the model has experts.
    pub(super) fn want_trace(&mut self) {
        self.wishes.trace = true;
    }

    /// An answer that is about to stream is traced from its prompt on.
    pub(super) fn begin_trace(&mut self, chat: ChatId, turn: TurnId) {
        self.trace = self.empty_trace(chat, turn);
    }

    fn empty_trace(&self, chat: ChatId, turn: TurnId) -> Option<Trace> {
        let conversation = self.chat_of(chat)?;
        Some(Trace {
            chat,
            turn,
            title: conversation.shown_title(),
            pictures: conversation.turns.iter().flat_map(|turn| turn.present_pictures()).collect(),
            patches: self.models.loaded.as_ref().map(|info| info.patches.clone()).unwrap_or_default(),
            routing: ReplyRouting { experts: self.models.experts(), layers: Vec::new(), tokens: Vec::new() },
            complete: false,
        })
    }

    /// The command that traces the shown conversation, where there is something to trace that is not there already.
    pub(super) fn start_trace(&mut self) -> Option<Command> {
        if self.preferences.panel != Panel::Routing || self.models.experts() == 0 {
            return None;
        }
        let Some(chat) = self.chat() else {
            self.trace = None;
            return None;
        };
        let id = chat.id;
        let turn = chat.turns.iter().rfind(|turn| turn.speaker == Speaker::Assistant && !turn.text.is_empty())?.id;
        let there =
            self.trace.as_ref().is_some_and(|trace| (trace.chat, trace.turn, trace.complete) == (id, turn, true));
        if there {
            return None;
        }
        let mut messages = chat.clone();
        messages.turns.retain(|t| t.id <= turn);
        self.begin_trace(id, turn);
        self.work = Work::Tracing { chat: id, turn };
        Some(Command::Trace(messages.messages()))
    }

    /// The next tokens of what is traced.
    pub(super) fn routed(&mut self, routing: ReplyRouting) {
        let Some(trace) = self.trace.as_mut().filter(|trace| !trace.complete) else { return };
        trace.routing.experts = routing.experts;
        trace.routing.layers = routing.layers;
        trace.routing.tokens.extend(routing.tokens);
    }

    /// What is traced has ended.
    pub(super) fn trace_ended(&mut self, chat: ChatId, turn: TurnId) {
        if let Some(trace) = self.trace.as_mut().filter(|trace| (trace.chat, trace.turn) == (chat, turn)) {
            trace.complete = !trace.routing.tokens.is_empty();
        }
    }
}
