//! Both layouts as they are found in the wild, and every number that must not be believed.

use super::*;
use serde_json::json;

fn read(config: Value) -> Result<LlavaConfig> {
    LlavaConfig::from_json(&config, None, None)
}

/// The message of what must be refused, with these words in it.
#[track_caller]
fn refused(config: Value, words: &[&str]) {
    let message = read(config).expect_err("this must be refused").to_string();
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
    assert!(message.len() < 300 && !message.contains('\n'), "not one line: {message}");
}

/// What llava-hf/llava-1.5-7b-hf has, written by transformers 4.
fn llava_7b() -> Value {
    json!({
        "architectures": ["LlavaForConditionalGeneration"],
        "ignore_index": -100,
        "image_token_index": 32000,
        "model_type": "llava",
        "pad_token_id": 32001,
        "projector_hidden_act": "gelu",
        "text_config": {
            "_name_or_path": "lmsys/vicuna-7b-v1.5",
            "architectures": ["LlamaForCausalLM"],
            "max_position_embeddings": 4096,
            "model_type": "llama",
            "rms_norm_eps": 1e-05,
            "torch_dtype": "float16",
            "vocab_size": 32064
        },
        "tie_word_embeddings": false,
        "torch_dtype": "float16",
        "vision_config": {
            "hidden_size": 1024,
            "image_size": 336,
            "intermediate_size": 4096,
            "model_type": "clip_vision_model",
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "patch_size": 14,
            "projection_dim": 768,
            "vocab_size": 32000
        },
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": 32064
    })
}

/// What liuhaotian/llava-v1.5-7b has.
fn original_7b() -> Value {
    json!({
        "architectures": ["LlavaLlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 4096,
        "image_aspect_ratio": "pad",
        "intermediate_size": 11008,
        "max_length": 4096,
        "max_position_embeddings": 4096,
        "mm_hidden_size": 1024,
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": false,
        "mm_use_im_start_end": false,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "openai/clip-vit-large-patch14-336",
        "model_type": "llava",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "pad_token_id": 0,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": null,
        "tie_word_embeddings": false,
        "torch_dtype": "float16",
        "tune_mm_mlp_adapter": false,
        "use_cache": true,
        "vocab_size": 32000
    })
}

/// `value` with the field at `path` (names joined by dots) set; `null` counts as absent.
fn with(mut value: Value, path: &str, field: Value) -> Value {
    let mut place = &mut value;
    for name in path.split('.') {
        place = &mut place[name];
    }
    *place = field;
    value
}

#[test]
fn llava_1_5_7b_of_hugging_face() {
    let llava = read(llava_7b()).expect("valid");
    assert_eq!(llava.vision, ClipVisionConfig::vit_l_14_336());
    assert_eq!(
        llava.text,
        LlamaConfig {
            vocab_size: 32064,
            hidden_size: 4096,
            intermediate_size: 11008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 128,
            max_position_embeddings: 4096,
            rms_norm_eps: 1e-5,
            rope_theta: 1e4,
            tie_word_embeddings: false,
        }
    );
    assert_eq!((llava.image_token_id, llava.pad_token_id, llava.bos_token_id), (32000, Some(32001), None));
    assert_eq!((llava.num_vision_layers_used(), llava.image_seq_len()), (23, 576));
    assert_eq!(llava.image_aspect_ratio, ImageAspectRatio::Preprocessor);
    assert_eq!(llava.dtype, Some(StoredDtype::F16));
    assert!(llava.eos_token_ids.is_empty(), "then the tokenizer's counts");
}

#[test]
fn llava_1_5_7b_of_the_original_code() {
    let llava = read(original_7b()).expect("valid");
    let hugging_face = read(llava_7b()).expect("valid");
    assert_eq!(llava.vision, hugging_face.vision);
    assert_eq!(llava.text, LlamaConfig { vocab_size: 32000, ..hugging_face.text });
    assert_eq!(llava.image_token_id, ORIGINAL_IMAGE_TOKEN_ID);
    assert_eq!((llava.bos_token_id, llava.pad_token_id), (Some(1), Some(0)));
    assert_eq!(llava.eos_token_ids, [2]);
    assert_eq!(llava.image_aspect_ratio, ImageAspectRatio::Pad);
    let full = read(with(original_7b(), "mm_vision_select_feature", json!("cls_patch"))).expect("valid");
    assert_eq!(full.image_seq_len(), 577);
}

#[test]
fn the_original_layout_takes_its_tower_from_the_clip_folder() {
    let vision = json!({"model_type": "clip_vision_model", "hidden_size": 64, "num_attention_heads": 4,
        "num_hidden_layers": 3, "image_size": 30, "patch_size": 14, "intermediate_size": 128, "hidden_act": "gelu"});
    let config = with(original_7b(), "mm_hidden_size", json!(64));
    let whole = json!({"model_type": "clip", "text_config": {"hidden_size": 5}, "vision_config": vision});
    for separate in [&vision, &whole] {
        let llava = LlavaConfig::from_json(&config, None, Some(separate)).expect("valid");
        assert_eq!((llava.vision.hidden_size, llava.vision.num_hidden_layers), (64, 3));
        assert_eq!(llava.vision.hidden_act, VisionActivation::Gelu);
        // 30 pixels hold two patches of 14; the last two pixels are left out.
        assert_eq!(llava.vision.num_patches(), 4);
    }
    let inside = with(config.clone(), "vision_config", vision);
    assert_eq!(read(inside).expect("valid").vision.hidden_size, 64);
    let message = LlavaConfig::from_json(&original_7b(), None, Some(&whole)).expect_err("1024 is not 64").to_string();
    assert!(message.contains("mm_hidden_size is 1024") && message.contains("64"), "{message}");
}

#[test]
fn transformers_5_writes_rope_and_dtype_elsewhere() {
    let config = json!({
        "model_type": "llava", "dtype": "bfloat16", "image_token_id": 7, "tie_word_embeddings": true,
        "text_config": {"model_type": "llama", "vocab_size": 100, "hidden_size": 64, "num_attention_heads": 8,
            "num_key_value_heads": 2, "eos_token_id": [5, 3, 5], "bos_token_id": 1, "pad_token_id": -1,
            "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}, "rope_theta": 1.0},
        "vision_config": {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 4, "image_size": 64},
        "vision_feature_layer": 3, "vision_feature_select_strategy": "full"
    });
    let llava = read(config).expect("valid");
    assert_eq!((llava.text.rope_theta, llava.text.num_key_value_heads, llava.text.head_dim), (5e5, 2, 8));
    assert_eq!((llava.image_token_id, llava.dtype), (7, Some(StoredDtype::Bf16)));
    assert!(llava.text.tie_word_embeddings);
    assert_eq!((llava.vision.patch_size, llava.num_vision_layers_used(), llava.image_seq_len()), (32, 3, 5));
    assert_eq!(llava.eos_token_ids, [3, 5]);
    assert_eq!((llava.bos_token_id, llava.pad_token_id), (Some(1), None));
}

#[test]
fn what_is_missing_takes_each_configs_own_default() {
    let llava = read(json!({"model_type": "llava"})).expect("valid");
    assert_eq!(llava.vision, ClipVisionConfig::vit_l_14_336(), "LlavaConfig's default tower");
    assert_eq!(
        (llava.text.rms_norm_eps, llava.text.max_position_embeddings, llava.text.vocab_size),
        (1e-6, 2048, 32000)
    );
    assert_eq!((llava.image_token_id, llava.vision_feature_layer), (32000, -2));

    let llava = read(json!({"model_type": "llava", "vision_config": {}, "text_config": {}})).expect("valid");
    let clip = &llava.vision;
    assert_eq!((clip.hidden_size, clip.intermediate_size, clip.num_hidden_layers), (768, 3072, 12));
    assert_eq!((clip.num_attention_heads, clip.image_size, clip.patch_size), (12, 224, 32));
    assert_eq!((clip.hidden_act, clip.layer_norm_eps), (VisionActivation::QuickGelu, 1e-5));
    assert_eq!((llava.text.hidden_size, llava.text.num_key_value_heads), (4096, 32));
}

#[test]
fn the_generation_config_decides_where_a_reply_ends() {
    let config = original_7b();
    let eos =
        |generation: Value| LlavaConfig::from_json(&config, Some(&generation), None).map(|llava| llava.eos_token_ids);
    assert_eq!(eos(json!({"eos_token_id": [9, 4]})).expect("valid"), [4, 9]);
    assert_eq!(eos(json!({"eos_token_id": 9})).expect("valid"), [9]);
    assert_eq!(eos(json!({"eos_token_id": null})).expect("valid"), [2]);
    for bad in [json!(32000), json!([2, -1]), json!("</s>"), json!(2.5), json!([[2]])] {
        let message = eos(json!({"eos_token_id": bad})).expect_err("no token id").to_string();
        assert!(message.contains("generation_config.json: eos_token_id is") && message.contains("32000"), "{message}");
    }
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let fields = [
        ("text_config.num_hidden_layers", "1 to 512"),
        ("text_config.hidden_size", "1 to 65536"),
        ("text_config.num_attention_heads", "1 to 1024"),
        ("text_config.num_key_value_heads", "1 to 32"),
        ("text_config.head_dim", "1 to 256"),
        ("text_config.intermediate_size", "1 to 1048576"),
        ("text_config.vocab_size", "1 to 4194304"),
        ("text_config.max_position_embeddings", "1 to 4194304"),
        ("vision_config.num_hidden_layers", "1 to 512"),
        ("vision_config.hidden_size", "1 to 65536"),
        ("vision_config.num_attention_heads", "1 to 1024"),
        ("vision_config.intermediate_size", "1 to 1048576"),
        ("vision_config.image_size", "1 to 16384"),
        ("vision_config.patch_size", "1 to 1024"),
    ];
    let values = [
        json!(0),
        json!(-1),
        json!(1_000_000_000),
        json!(16.0),
        json!(1e300),
        json!(u64::MAX),
        json!("16"),
        json!([16]),
        json!({}),
        json!(true),
    ];
    for (field, range) in fields {
        for value in &values {
            refused(with(llava_7b(), field, value.clone()), &["config.json", field, range]);
        }
    }
}

#[test]
fn epsilons_and_rotary_bases_are_positive_numbers() {
    let fields = [
        "text_config.rms_norm_eps",
        "vision_config.layer_norm_eps",
        "text_config.rope_theta",
        "text_config.rope_parameters.rope_theta",
    ];
    for field in fields {
        for value in [json!(0), json!(-1e-5), json!(1e-300), json!(1e300), json!("NaN"), json!([1e-5]), json!(false)] {
            refused(with(llava_7b(), field, value), &[field, "above 0"]);
        }
    }
    refused(with(llava_7b(), "text_config.rms_norm_eps", json!(0.2)), &["text_config.rms_norm_eps is 0.2"]);
    // Whole numbers are numbers.
    assert_eq!(read(with(llava_7b(), "text_config.rope_theta", json!(500000))).expect("valid").text.rope_theta, 5e5);
}

#[test]
fn heads_and_patches_must_divide() {
    refused(
        with(llava_7b(), "text_config.num_attention_heads", json!(24)),
        &["hidden_size 4096", "num_attention_heads 24"],
    );
    refused(with(llava_7b(), "text_config.num_key_value_heads", json!(5)), &["num_key_value_heads 5"]);
    refused(with(llava_7b(), "text_config.num_attention_heads", json!(8)), &["head_dim is 512"]);
    refused(with(llava_7b(), "text_config.head_dim", json!(5)), &["head_dim is 5", "even"]);
    refused(with(llava_7b(), "vision_config.num_attention_heads", json!(24)), &["vision_config.hidden_size 1024"]);
    refused(with(llava_7b(), "vision_config.num_attention_heads", json!(1024)), &["vision_config", "even"]);
    refused(with(llava_7b(), "vision_config.patch_size", json!(337)), &["patch_size 337", "image_size 336"]);
    refused(with(llava_7b(), "vision_config.patch_size", json!(1)), &["patch_size 1 ", "65536 patches"]);
    // A head wider than its share is transformers' explicit head_dim.
    let wide = read(with(llava_7b(), "text_config.head_dim", json!(256))).expect("valid");
    let q_proj = wide.expected_tensors().into_iter().find(|(name, _)| name.ends_with("0.self_attn.q_proj.weight"));
    assert!(q_proj.is_some_and(|(name, shape)| name.contains("vision") || shape == [8192, 4096]));
}

#[test]
fn a_hidden_state_must_exist() {
    for (layer, used) in [(-1, 24), (-2, 23), (-25, 0), (0, 0), (24, 24)] {
        let llava = read(with(llava_7b(), "vision_feature_layer", json!(layer))).expect("valid");
        assert_eq!(llava.num_vision_layers_used(), used, "{layer}");
    }
    for layer in [json!(25), json!(-26), json!(i64::MIN), json!(-2.0)] {
        refused(with(llava_7b(), "vision_feature_layer", layer), &["vision_feature_layer is", "from -25 to 24"]);
    }
    refused(with(llava_7b(), "vision_feature_layer", json!([-2, -5])), &["vision_feature_layer is [-2,-5]", "several"]);
    refused(with(original_7b(), "mm_vision_select_layer", json!(99)), &["mm_vision_select_layer is 99"]);
    refused(with(original_7b(), "mm_vision_select_layer", json!(null)), &["mm_vision_select_layer is missing"]);
}

#[test]
fn what_would_be_computed_wrongly_is_refused_by_name() {
    let scaled = json!({"type": "linear", "factor": 2.0});
    let llama3 = json!({"rope_type": "llama3", "rope_theta": 5e5});
    for (field, value) in [
        ("model_type", json!("llava_next")),
        ("model_type", json!(null)),
        ("projector_hidden_act", json!("relu")),
        ("multimodal_projector_bias", json!(false)),
        ("vision_feature_select_strategy", json!("patch")),
        ("image_aspect_ratio", json!("anyres")),
        ("text_config.model_type", json!("mistral")),
        ("text_config.hidden_act", json!("gelu")),
        ("text_config.attention_bias", json!(true)),
        ("text_config.mlp_bias", json!(true)),
        ("text_config.tie_word_embeddings", json!("yes")),
        ("vision_config.model_type", json!("siglip_vision_model")),
        ("vision_config.hidden_act", json!("gelu_new")),
        ("vision_config.num_channels", json!(4)),
        ("image_token_index", json!(-201)),
        ("pad_token_id", json!(40_000)),
        ("text_config", json!([])),
        ("vision_config", json!("clip")),
    ] {
        refused(with(llava_7b(), field, value), &[field]);
    }
    refused(
        with(llava_7b(), "text_config.rope_scaling", scaled.clone()),
        &["text_config.rope_scaling.type is \"linear\""],
    );
    refused(with(llava_7b(), "text_config.rope_parameters", llama3), &["rope_parameters.rope_type is \"llama3\""]);
    let partial = json!({"rope_type": "default", "partial_rotary_factor": 0.5});
    refused(with(llava_7b(), "text_config.rope_parameters", partial), &["partial_rotary_factor is 0.5"]);
    refused(with(original_7b(), "rope_scaling", scaled), &["rope_scaling.type"]);
    for (field, value) in [
        ("mm_projector_type", json!("linear")),
        ("mm_projector_type", json!(null)),
        ("mm_vision_select_feature", json!("slicefour_patch")),
        ("mm_patch_merge_type", json!("spatial_unpad")),
        ("mm_use_im_start_end", json!(true)),
        ("image_aspect_ratio", json!("anyres")),
        ("s2", json!(true)),
    ] {
        refused(with(original_7b(), field, value), &[field]);
    }
    refused(json!([1, 2]), &["config.json", "[1,2]", "object"]);
    refused(with(llava_7b(), "text_config.hidden_act", json!("x".repeat(100_000))), &["hidden_act is \"xxx"]);
}

#[test]
fn the_tensors_of_the_7b_model() {
    let llava = read(llava_7b()).expect("valid");
    let tensors = llava.expected_tensors();
    let parameters: usize = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    // Vicuna has 6,738,415,616 and 64 more rows in and out; the projector 20,979,712; the tower 303,507,456, of which
    // the last layer (12,596,224) and the last norm (2,048) are not needed.
    assert_eq!(parameters, 6_738_415_616 + 128 * 4096 + 20_979_712 + 303_507_456 - 12_596_224 - 2_048);
    let unused = llava.unused_tensors();
    assert_eq!(unused.len(), 2 + 16);
    assert!(unused.iter().all(|name| name.contains("post_layernorm") || name.contains("encoder.layers.23.")));
    assert!(tensors.iter().all(|(name, _)| !unused.contains(name)));

    let tied = read(with(llava_7b(), "text_config.tie_word_embeddings", json!(true))).expect("valid");
    let head = "language_model.lm_head.weight";
    assert!(tensors.iter().any(|(name, shape)| name == head && *shape == [32064, 4096]));
    assert!(tied.expected_tensors().iter().all(|(name, _)| name != head));
    assert!(tied.unused_tensors().iter().any(|name| name == head));
}
