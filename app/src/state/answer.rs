//! Questions and answers: the draft becomes a turn, the answer grows behind it.

use mole_runtime::engine::{Command, Picture, Reply, ReplyPrompt, ReplyRequest};

use super::work::{Answering, Work};
use super::{Draft, Effect, Panel, State};
use crate::chat::{ChatId, Conversation, Ending, Outcome, Record, Speaker, Turn, TurnId};

/// A growing answer is kept this often, in milliseconds, so that little of it can be lost.
const KEEP_EVERY_MS: u64 = 2000;

impl State {
    /// The draft becomes a turn of the person's, and is answered.
    pub(super) fn send(&mut self) {
        if !self.draft.is_sendable() || self.is_answering() || self.models.loaded.is_none() {
            return;
        }
        let Draft { text, pictures, editing } = std::mem::take(&mut self.draft);
        if let Some(turn) = editing {
            self.cut(turn);
        }
        let chat = self.current.unwrap_or_else(|| self.begin_chat());
        self.say(chat, Speaker::User, text, pictures);
        self.ask(chat);
    }

    /// The last question is answered anew.
    pub(super) fn regenerate(&mut self) {
        if self.is_answering() || self.models.loaded.is_none() {
            return;
        }
        let Some(chat) = self.chat() else { return };
        let (id, last) = (chat.id, chat.turns.last().map(|turn| (turn.id, turn.speaker)));
        if let Some((turn, Speaker::Assistant)) = last {
            self.cut(turn);
        }
        if self.chat().is_some_and(|chat| !chat.turns.is_empty()) {
            self.ask(id);
        }
    }

    /// A turn of the person's goes back into the draft.
    pub(super) fn edit(&mut self, turn: TurnId) {
        let found = self.chat().and_then(|chat| chat.turns.iter().find(|t| t.id == turn && t.speaker == Speaker::User));
        if let Some(found) = found {
            self.draft = Draft { text: found.text.clone(), pictures: found.pictures.clone(), editing: Some(turn) };
        }
    }

    pub(super) fn attach(&mut self, pictures: Vec<Picture>) {
        self.draft.pictures.extend(pictures);
    }

    /// Stops what is answered. What waits for its turn is not asked after all.
    pub(super) fn stop(&mut self) {
        if let Some((chat, turn)) = self.wishes.answer.take() {
            let outcome = self.outcome(Ending::Stopped, 0, 0);
            return self.end_answer(chat, turn, None, outcome);
        }
        self.stop_running();
    }

    /// Stops the answer that is being made.
    pub(super) fn stop_running(&mut self) {
        match &mut self.work {
            Work::Answering(answering) if !answering.stopping => answering.stopping = true,
            Work::Guest(_) => {}
            _ => return,
        }
        self.effects.push(Effect::Engine(Command::Cancel));
    }

    /// Whether a question of the person's is being answered, or waits for it.
    pub fn is_answering(&self) -> bool {
        self.work.answering().is_some() || self.wishes.answer.is_some()
    }

    /// An empty answer at the end of the conversation, for the model to fill.
    fn ask(&mut self, chat: ChatId) {
        let turn = self.say(chat, Speaker::Assistant, String::new(), Vec::new());
        self.wishes.answer = Some((chat, turn));
    }

    fn say(&mut self, chat: ChatId, speaker: Speaker, text: String, pictures: Vec<Picture>) -> TurnId {
        let conversation = self.chat_mut(chat).expect("a conversation that is shown or was begun");
        let turn = Turn { id: conversation.next_turn_id(), speaker, text, pictures, outcome: None };
        conversation.turns.push(turn.clone());
        let id = turn.id;
        // An answer without words is nothing to keep yet.
        if speaker == Speaker::User {
            self.record(Record::Say { chat, turn });
        }
        id
    }

    /// Takes a turn of the shown conversation and all behind it back.
    fn cut(&mut self, from: TurnId) {
        let Some(chat) = self.current else { return };
        if let Some(conversation) = self.chat_mut(chat) {
            conversation.take_back(from);
        }
        if self.trace.as_ref().is_some_and(|trace| trace.chat == chat && trace.turn >= from) {
            self.trace = None;
        }
        self.record(Record::Cut { chat, from });
    }

    /// The command that answers, where the turn is still there.
    pub(super) fn start_answer(&mut self, chat: ChatId, turn: TurnId) -> Option<Command> {
        let conversation = self.chat_of(chat)?;
        conversation.turns.iter().find(|t| t.id == turn)?;
        let routing = self.preferences.panel == Panel::Routing && self.models.experts() > 0;
        let sampling = self.preferences.sampling;
        let request = ReplyRequest {
            prompt: ReplyPrompt::Chat(conversation.messages()),
            max_new_tokens: sampling.max_new_tokens,
            sample: sampling.params(),
            seed: sampling.seed,
            routing,
        };
        if routing {
            self.begin_trace(chat, turn);
        }
        self.work = Work::Answering(Answering {
            chat,
            turn,
            prompt_tokens: 0,
            prefilled: 0,
            pieces: 0,
            first_ms: None,
            stopping: false,
            kept_ms: self.now_ms,
        });
        Some(Command::Reply(request))
    }

    /// The next words.
    pub(super) fn token(&mut self, text: &str) {
        let now = self.now_ms;
        let Work::Answering(answering) = &mut self.work else { return };
        answering.pieces += 1;
        answering.first_ms.get_or_insert(now);
        let (chat, turn) = (answering.chat, answering.turn);
        let keep = now.saturating_sub(answering.kept_ms) >= KEEP_EVERY_MS;
        if keep {
            answering.kept_ms = now;
        }
        if let Some(turn) = self.turn_mut(chat, turn) {
            turn.text.push_str(text);
            let turn = turn.clone();
            if keep {
                self.record(Record::Say { chat, turn });
            }
        }
    }

    pub(super) fn replied(&mut self, answering: &Answering, reply: Reply) {
        let outcome = Outcome {
            model: self.model_name(),
            ending: reply.stop_reason.into(),
            prompt_tokens: reply.prompt_tokens,
            tokens: reply.token_ids.len(),
            tokens_per_second: reply.timings.tokens_per_second,
        };
        self.rebuilt = false;
        self.end_answer(answering.chat, answering.turn, Some(reply.text), outcome);
    }

    /// What was said so far stays.
    pub(super) fn answer_failed(&mut self, answering: &Answering, reason: String) {
        let outcome = self.outcome(Ending::Failed(reason), answering.prompt_tokens, answering.pieces);
        self.end_answer(answering.chat, answering.turn, None, outcome);
    }

    /// Of an answer that did not come to its end.
    fn outcome(&self, ending: Ending, prompt_tokens: usize, tokens: usize) -> Outcome {
        Outcome { model: self.model_name(), ending, prompt_tokens, tokens, tokens_per_second: 0.0 }
    }

    fn end_answer(&mut self, chat: ChatId, turn: TurnId, text: Option<String>, outcome: Outcome) {
        if let Some(turn) = self.turn_mut(chat, turn) {
            turn.text = text.unwrap_or_else(|| std::mem::take(&mut turn.text));
            turn.outcome = Some(outcome);
            let turn = turn.clone();
            self.record(Record::Say { chat, turn });
        }
    }

    fn model_name(&self) -> String {
        self.models.loaded.as_ref().map_or_else(String::new, |info| info.name.clone())
    }

    pub(super) fn chat_mut(&mut self, id: ChatId) -> Option<&mut Conversation> {
        self.chats.iter_mut().find(|chat| chat.id == id)
    }

    fn turn_mut(&mut self, chat: ChatId, turn: TurnId) -> Option<&mut Turn> {
        self.chat_mut(chat)?.turns.iter_mut().find(|t| t.id == turn)
    }
}
