//! The engine: what it tells, and what it is given next.

use mole_runtime::Error;
use mole_runtime::engine::{Command, Event};

use super::arrival::GuestEvent;
use super::work::Work;
use super::{Effect, Notice, State};

impl State {
    pub(super) fn engine_event(&mut self, event: Event) {
        match event {
            Event::Loading(progress) => self.models.loading = Some(progress),
            Event::Loaded(info) => {
                self.work = Work::Idle;
                self.loaded(*info);
            }
            Event::Estimated(info) => {
                self.work = Work::Idle;
                self.models.estimate = Some(Ok(*info));
            }
            Event::Started { prompt_tokens, .. } => {
                if let Work::Answering(answering) = &mut self.work {
                    answering.prompt_tokens = prompt_tokens;
                }
            }
            Event::Prefilled { tokens } => {
                if let Work::Answering(answering) = &mut self.work {
                    answering.prefilled = tokens;
                }
            }
            Event::Token(text) => match &self.work {
                Work::Guest(events) => drop(events.try_send(GuestEvent::Token(text))),
                _ => self.token(&text),
            },
            Event::Routed(routing) => self.routed(routing),
            Event::Replied(reply) => match std::mem::take(&mut self.work) {
                Work::Answering(answering) => {
                    self.replied(&answering, reply);
                    self.trace_ended(answering.chat, answering.turn);
                }
                Work::Guest(events) => drop(events.try_send(GuestEvent::Replied(Box::new(reply)))),
                other => self.work = other,
            },
            Event::Traced => {
                if let Work::Tracing { chat, turn } = std::mem::take(&mut self.work) {
                    self.trace_ended(chat, turn);
                }
            }
            Event::Failed(error) => self.failed(error),
            Event::Dumped(_) => {}
            #[cfg(not(target_arch = "wasm32"))]
            Event::Training(_) | Event::Trained(_) => {}
        }
    }

    fn failed(&mut self, error: Error) {
        let lost = matches!(error, Error::Device(_));
        let reason = error.to_string();
        match std::mem::take(&mut self.work) {
            Work::Loading => return self.load_failed(reason),
            Work::Estimating => {
                self.models.estimate = Some(Err(reason));
                return;
            }
            Work::Answering(answering) => {
                self.answer_failed(&answering, reason.clone());
                self.trace_ended(answering.chat, answering.turn);
            }
            Work::Guest(events) => drop(events.try_send(GuestEvent::Failed(reason.clone()))),
            Work::Tracing { .. } if !lost => self.notices.push(Notice::error(reason.clone())),
            Work::Tracing { .. } | Work::Idle => {}
        }
        if lost {
            self.device_failed(&reason);
        }
    }

    /// Says so, and loads the model anew, once: what fails again at once would fail for ever.
    fn device_failed(&mut self, reason: &str) {
        let language = self.language();
        self.models.loaded = None;
        if std::mem::replace(&mut self.rebuilt, true) {
            let what_next = language.pick(
                "the device failed again: choose another one under Models, for example the CPU",
                "设备再次失败：请在“模型”中选择其他设备，例如 CPU",
            );
            self.notices.push(Notice::error(format!("{reason}. {what_next}")));
            return;
        }
        let what_next =
            language.pick("the conversation is kept; the model is being loaded again", "对话已保留，正在重新加载模型");
        self.notices.push(Notice::error(format!("{reason}. {what_next}")));
        self.wishes.load = self.models.requested.is_some();
    }

    /// Gives the engine what is to be done next, if it is free.
    pub(super) fn go_on(&mut self) {
        while self.work.is_idle() {
            let Some(command) = self.next_command() else { return };
            self.effects.push(Effect::Engine(command));
        }
    }

    /// The most urgent wish as a command, with `work` set to it. Wishes that have become pointless are dropped.
    fn next_command(&mut self) -> Option<Command> {
        if std::mem::take(&mut self.wishes.load)
            && let Some(request) = self.models.requested.clone()
        {
            self.models.loading = Some(Default::default());
            self.work = Work::Loading;
            return Some(Command::Load(request));
        }
        if self.models.loaded.is_some() {
            if let Some(command) = self.wishes.answer.take().and_then(|(chat, turn)| self.start_answer(chat, turn)) {
                return Some(command);
            }
            if let Some(guest) = self.wishes.guests.pop_front() {
                self.work = Work::Guest(guest.events);
                return Some(Command::Reply(guest.request));
            }
        }
        if std::mem::take(&mut self.wishes.estimate) {
            match self.models.request() {
                Some(request) => {
                    self.work = Work::Estimating;
                    return Some(Command::Estimate(request));
                }
                // Asked again when the demo model is there.
                None => self.wishes.estimate = self.models.downloading.is_some(),
            }
        }
        if std::mem::take(&mut self.wishes.trace) && self.models.loaded.is_some() {
            return self.start_trace();
        }
        None
    }
}
