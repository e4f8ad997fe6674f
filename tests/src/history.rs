//! What the tests of the history write, so that both who writes and who checks know it.

use std::sync::Arc;

use llava_mole::chat::{Speaker, Turn, TurnId};
use mole_runtime::engine::Picture;

/// How often a turn is said while it grows; the last time it is whole.
pub const STEPS: u64 = 8;

/// A turn of `name`'s after so many steps. Every third one has a picture; every eighth is long, so that a kill can fall
/// into the writing of its line.
pub fn turn(name: &str, id: TurnId, step: u64) -> Turn {
    let speaker = if id.is_multiple_of(2) { Speaker::User } else { Speaker::Assistant };
    let length = if id % 8 == 7 { 500 } else { 10 };
    let text = format!("{name} 第{id}句 \"\\\n").repeat(usize::try_from(step + 1).expect("small") * length);
    let picture =
        || Picture { name: format!("{id}.png"), bytes: Arc::from(format!("{name} {id}").repeat(500).into_bytes()) };
    let pictures = id.is_multiple_of(3).then(picture).into_iter().collect();
    Turn { id, speaker, text, pictures, outcome: None }
}

/// Whether a turn is one of those above, and after which step.
pub fn step_of(name: &str, found: &Turn) -> Option<u64> {
    (0..STEPS).find(|step| {
        let turn = turn(name, found.id, *step);
        let picture = |turn: &Turn| turn.pictures.first().map(|picture| (picture.name.clone(), picture.bytes.clone()));
        (&turn.text, turn.speaker) == (&found.text, found.speaker) && picture(&turn) == picture(found)
    })
}
