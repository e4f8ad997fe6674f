//! The names that four layouts give the same tensors, brought to one: Hugging Face's as transformers 4 saves them.

use std::fmt;

/// Who wrote the checkpoint, by its tensors' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// Saved by transformers 4: `language_model.model...`, `vision_tower.vision_model...`.
    Transformers4,
    /// Saved by transformers 5: as 4, with `vision_tower.embeddings...` (no `vision_model`).
    Transformers5,
    /// transformers' newer names in memory: `model.language_model...`, `model.vision_tower...`.
    TransformersInMemory,
    /// The original LLaVA code: `model.layers...`, `model.mm_projector...`.
    Original,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Transformers4 => "Hugging Face (transformers 4)",
            Self::Transformers5 => "Hugging Face (transformers 5)",
            Self::TransformersInMemory => "Hugging Face (in-memory names)",
            Self::Original => "LLaVA original",
        })
    }
}

/// Which part of a checkpoint a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The model's own folder.
    Model,
    /// A separate CLIP folder, the original layout's vision tower.
    VisionTower,
    /// An adapter: names of the model's own, behind PEFT's prefix.
    Adapter,
    /// No part of a model: names are taken as they are.
    Plain,
}

/// What PEFT puts before a model's own names.
const ADAPTER_PREFIX: &str = "base_model.model.";

/// What a name in a file stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The tensor of this canonical name, and the layout that the name gives away. A name no layout knows is its own
    /// canonical name: it then turns up as unused.
    Tensor(String, Option<Layout>),
    /// Nothing that a model needs: what can be computed (positions, rotary frequencies), and CLIP's text side.
    Silent,
}

const VISION: &str = "vision_tower.vision_model.";

/// Start of a name in the file, what replaces it, the layout it gives away. The first that matches counts.
const MODEL: &[(&str, &str, Option<Layout>)] = &[
    ("language_model.", "language_model.", Some(Layout::Transformers4)),
    ("multi_modal_projector.", "multi_modal_projector.", None),
    ("vision_tower.vision_model.", VISION, None),
    ("vision_tower.", VISION, Some(Layout::Transformers5)),
    ("model.language_model.", "language_model.model.", Some(Layout::TransformersInMemory)),
    ("model.multi_modal_projector.", "multi_modal_projector.", None),
    ("model.vision_tower.vision_tower.vision_model.", VISION, None),
    ("model.vision_tower.vision_tower.", VISION, None),
    ("model.vision_tower.vision_model.", VISION, None),
    ("model.vision_tower.", VISION, None),
    ("model.mm_projector.0.", "multi_modal_projector.linear_1.", Some(Layout::Original)),
    ("model.mm_projector.2.", "multi_modal_projector.linear_2.", Some(Layout::Original)),
    ("model.embed_tokens.", "language_model.model.embed_tokens.", Some(Layout::Original)),
    ("model.layers.", "language_model.model.layers.", Some(Layout::Original)),
    ("model.norm.", "language_model.model.norm.", Some(Layout::Original)),
    ("lm_head.", "language_model.lm_head.", None),
];

/// As [`MODEL`], for a CLIP folder: a whole CLIP, or its vision model saved alone, with or without the level above it.
const VISION_TOWER: &[(&str, &str, Option<Layout>)] = &[
    ("vision_model.", VISION, None),
    ("embeddings.", "vision_tower.vision_model.embeddings.", None),
    ("pre_layrnorm.", "vision_tower.vision_model.pre_layrnorm.", None),
    ("encoder.", "vision_tower.vision_model.encoder.", None),
    ("post_layernorm.", "vision_tower.vision_model.post_layernorm.", None),
];

/// What a name means in a file of this part of the checkpoint.
pub(super) fn meaning(part: Part, name: &str) -> Meaning {
    if part == Part::Plain {
        return Meaning::Tensor(name.to_owned(), None);
    }
    let computed = |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if computed("position_ids") || computed("rotary_emb.inv_freq") {
        return Meaning::Silent;
    }
    let name = match part {
        Part::Adapter => name.strip_prefix(ADAPTER_PREFIX).unwrap_or(name),
        _ => name,
    };
    let table = match part {
        Part::Model | Part::Adapter | Part::Plain => MODEL,
        Part::VisionTower => {
            let of_text = ["text_model.", "text_projection.", "visual_projection."];
            if of_text.iter().any(|start| name.starts_with(start)) || name == "logit_scale" {
                return Meaning::Silent;
            }
            VISION_TOWER
        }
    };
    let rule =
        table.iter().find_map(|&(start, canonical, layout)| Some((name.strip_prefix(start)?, canonical, layout)));
    match rule {
        Some((rest, canonical, layout)) => Meaning::Tensor(format!("{canonical}{rest}"), layout),
        None => Meaning::Tensor(name.to_owned(), None),
    }
}

/// Whether a canonical name is the vision tower's.
pub(super) fn is_vision(canonical: &str) -> bool {
    canonical.starts_with(VISION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(part: Part, name: &str) -> String {
        match meaning(part, name) {
            Meaning::Tensor(canonical, _) => canonical,
            Meaning::Silent => panic!("{name} is silent"),
        }
    }

    #[test]
    fn every_layout_has_the_same_tensors() {
        let same: [(&str, &[&str]); 7] = [
            (
                "language_model.model.layers.3.mlp.up_proj.weight",
                &["model.language_model.layers.3.mlp.up_proj.weight", "model.layers.3.mlp.up_proj.weight"],
            ),
            (
                "language_model.model.embed_tokens.weight",
                &["model.language_model.embed_tokens.weight", "model.embed_tokens.weight"],
            ),
            ("language_model.model.norm.weight", &["model.language_model.norm.weight", "model.norm.weight"]),
            ("language_model.lm_head.weight", &["lm_head.weight"]),
            (
                "multi_modal_projector.linear_1.bias",
                &["model.multi_modal_projector.linear_1.bias", "model.mm_projector.0.bias"],
            ),
            (
                "multi_modal_projector.linear_2.weight",
                &["model.multi_modal_projector.linear_2.weight", "model.mm_projector.2.weight"],
            ),
            (
                "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
                &[
                    "vision_tower.encoder.layers.0.mlp.fc1.bias",
                    "model.vision_tower.encoder.layers.0.mlp.fc1.bias",
                    "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
                    "model.vision_tower.vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias",
                    "model.vision_tower.vision_tower.encoder.layers.0.mlp.fc1.bias",
                ],
            ),
        ];
        for (wanted, names) in same {
            assert_eq!(canonical(Part::Model, wanted), wanted);
            for name in names {
                assert_eq!(canonical(Part::Model, name), wanted, "{name}");
            }
        }
    }

    #[test]
    fn a_clip_folder_gives_its_vision_model_and_nothing_else() {
        let wanted = "vision_tower.vision_model.embeddings.class_embedding";
        assert_eq!(canonical(Part::VisionTower, "vision_model.embeddings.class_embedding"), wanted);
        assert_eq!(canonical(Part::VisionTower, "embeddings.class_embedding"), wanted);
        for name in ["text_model.final_layer_norm.bias", "visual_projection.weight", "text_projection.weight"] {
            assert_eq!(meaning(Part::VisionTower, name), Meaning::Silent, "{name}");
        }
        assert_eq!(meaning(Part::VisionTower, "logit_scale"), Meaning::Silent);
    }

    #[test]
    fn what_can_be_computed_is_silent_in_every_layout() {
        for name in [
            "language_model.model.layers.0.self_attn.rotary_emb.inv_freq",
            "model.rotary_emb.inv_freq",
            "vision_tower.vision_model.embeddings.position_ids",
            "model.vision_tower.vision_tower.vision_model.embeddings.position_ids",
        ] {
            assert_eq!(meaning(Part::Model, name), Meaning::Silent, "{name}");
        }
        assert_ne!(meaning(Part::Model, "model.layers.0.my_position_ids"), Meaning::Silent);
    }

    #[test]
    fn an_unknown_name_stays_itself() {
        assert_eq!(canonical(Part::Model, "model.image_newline"), "model.image_newline");
        assert_eq!(canonical(Part::Model, "text_model.x"), "text_model.x");
    }
}
