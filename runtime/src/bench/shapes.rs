//! Shapes of models that are measured without a checkpoint.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::error::Result;
use crate::model::LlavaConfig;

/// A model's shape by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// LLaVA-1.5-7B.
    B7,
    /// LLaVA-1.5-13B.
    B13,
    /// LLaVA-1.5's tower before a language model of TinyLlama's shape, with grouped queries.
    B1,
    /// The demo model, whose configuration the program holds.
    Demo,
}

impl Shape {
    /// All of them, the largest last.
    pub const ALL: [Self; 4] = [Self::Demo, Self::B1, Self::B7, Self::B13];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::B7 => "7b",
            Self::B13 => "13b",
            Self::B1 => "1b",
            Self::Demo => "demo",
        }
    }

    /// The configuration; `demo` is the demo model's `config.json`.
    ///
    /// # Errors
    /// None for a `demo` that is sound.
    pub fn config(self, demo: &Value) -> Result<LlavaConfig> {
        let text = match self {
            Self::Demo => return LlavaConfig::from_json(demo, None, None),
            Self::B7 => json!({ "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096 }),
            Self::B13 => json!({ "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40,
                "num_attention_heads": 40, "num_key_value_heads": 40, "max_position_embeddings": 4096 }),
            Self::B1 => json!({ "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
                "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048 }),
        };
        let mut config = json!({ "model_type": "llava", "image_token_index": 32000, "vision_feature_layer": -2,
            "vision_feature_select_strategy": "default", "text_config": text,
            "vision_config": { "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
                "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14 } });
        config["text_config"]["model_type"] = json!("llama");
        config["text_config"]["vocab_size"] = json!(32064);
        config["text_config"]["rms_norm_eps"] = json!(1e-5);
        LlavaConfig::from_json(&config, None, None)
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|shape| shape.name() == text);
        found.ok_or_else(|| format!("{text:?} is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_parameters_of_their_models() {
        let billions = |shape: Shape| shape.config(&Value::Null).expect("ours").parameters() as f64 / 1e9;
        // transformers counts 7.06 and 13.35 for the whole checkpoints, the vision layer behind the features included.
        assert!((7.04..7.06).contains(&billions(Shape::B7)), "{}", billions(Shape::B7));
        assert!((13.32..13.36).contains(&billions(Shape::B13)), "{}", billions(Shape::B13));
        // TinyLlama's 1.10, the tower's 0.29 and the projector.
        assert!((1.35..1.45).contains(&billions(Shape::B1)), "{}", billions(Shape::B1));
        for shape in Shape::ALL {
            assert_eq!(shape.name().parse(), Ok(shape));
        }
        assert!("70b".parse::<Shape>().is_err());
    }
}
