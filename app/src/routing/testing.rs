//! Tokens for the tests beside the code.

use mole_runtime::engine::{PatchPlace, ReplyRouting, RoutedToken};
use mole_runtime::image::PatchGrid;

use super::Trace;

/// A word of the prompt: 3/4 for the expert that it goes to in each layer, the rest for the others.
pub(super) fn word(text: &str, layers: &[usize], experts: usize) -> RoutedToken {
    let probs = |expert: usize| {
        let other = 0.25 / (experts.max(2) - 1) as f32;
        (0..experts).map(|e| if e == expert { 0.75 } else { other }).collect()
    };
    RoutedToken {
        text: text.to_string(),
        id: Some(5),
        image: None,
        patch: None,
        reply: false,
        experts: layers.to_vec(),
        probs: layers.iter().map(|expert| probs(*expert)).collect(),
    }
}

/// A word that the model said.
pub(super) fn reply(text: &str, layers: &[usize], experts: usize) -> RoutedToken {
    RoutedToken { reply: true, ..word(text, layers, experts) }
}

/// A patch of a picture with 2 patches a side.
pub(super) fn patch(image: usize, row: usize, column: usize, layers: &[usize], experts: usize) -> RoutedToken {
    let place = PatchPlace { index: row * 2 + column, row, column };
    RoutedToken { id: None, image: Some(image), patch: Some(place), ..word("", layers, experts) }
}

/// What stands for a picture without a place in it.
pub(super) fn class_token(image: usize, layers: &[usize], experts: usize) -> RoutedToken {
    RoutedToken { patch: None, ..patch(image, 0, 0, layers, experts) }
}

/// A trace without pictures' bytes, 2 patches a side.
pub(super) fn trace(experts: usize, layers: usize, tokens: Vec<RoutedToken>) -> Trace {
    Trace {
        chat: 1,
        turn: 2,
        title: "A test".to_string(),
        pictures: Vec::new(),
        patches: PatchGrid { per_side: 2, ..PatchGrid::default() },
        routing: ReplyRouting { experts, layers: (0..layers).collect(), tokens },
        complete: false,
    }
}
