//! The demo model, a small LLaVA-MoLE that is still being trained: so far its shape.

/// What a model of its shape begins with: everything but the tokenizer and the weights, each file under its name.
pub const SHAPE: &[(&str, &[u8])] = &[
    ("config.json", include_bytes!("../../assets/demo/model/config.json")),
    ("preprocessor_config.json", include_bytes!("../../assets/demo/model/preprocessor_config.json")),
    ("tokenizer_config.json", include_bytes!("../../assets/demo/model/tokenizer_config.json")),
];
