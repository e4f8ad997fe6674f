//! Which files make a checkpoint, and whether their tensors are the model's.

use super::super::testing::{counting, file, in_memory, refused};
use super::*;

const UP: &str = "language_model.model.layers.0.mlp.up_proj.weight";
const VISION: &str = "vision_tower.vision_model.embeddings.class_embedding";

fn open(files: &ModelFiles) -> Result<Checkpoint> {
    Checkpoint::open(files, None)
}

fn index(entries: &str) -> Vec<u8> {
    format!(r#"{{"metadata":{{"total_size":1}},"weight_map":{{{entries}}}}}"#).into_bytes()
}

fn needs(list: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    list.iter().map(|(name, shape)| (name.to_string(), shape.to_vec())).collect()
}

#[test]
fn one_file_is_read_under_canonical_names() {
    let bytes = counting(&[("model.layers.0.mlp.up_proj.weight", &[2, 3]), ("model.mm_projector.2.bias", &[3])]);
    let checkpoint = open(&in_memory([("model.safetensors", bytes)])).expect("valid");
    assert_eq!(checkpoint.layout(), Layout::Original);
    let names: Vec<_> = checkpoint.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [UP, "multi_modal_projector.linear_2.bias"]);
    let info = checkpoint.get(UP).expect("there");
    assert_eq!(
        (info.name_in_file.as_str(), info.file.as_str()),
        ("model.layers.0.mlp.up_proj.weight", "model.safetensors")
    );
    assert_eq!((info.bytes, info.elements()), (24, 6));
    assert_eq!(checkpoint.read_f32(UP).expect("finite"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    refused(checkpoint.read_f32("no.such"), &["missing", "no.such"]);
}

#[test]
fn the_layout_is_told_by_its_names() {
    let layout = |names: &[&str]| {
        let tensors: Vec<(&str, &[usize])> = names.iter().map(|name| (*name, &[1][..])).collect();
        open(&in_memory([("model.safetensors", counting(&tensors))])).expect("valid").layout()
    };
    assert_eq!(layout(&[UP, VISION]), Layout::Transformers4);
    assert_eq!(layout(&[UP, "vision_tower.embeddings.class_embedding"]), Layout::Transformers5);
    assert_eq!(
        layout(&["lm_head.weight", "model.language_model.norm.weight", "model.vision_tower.vision_model.x"]),
        Layout::TransformersInMemory
    );
    assert_eq!(layout(&["lm_head.weight", "model.norm.weight"]), Layout::Original);
}

#[test]
fn an_index_joins_its_shards() {
    let files = in_memory([
        ("one.safetensors", counting(&[(UP, &[2])])),
        ("two.safetensors", counting(&[(VISION, &[4]), ("lm_head.weight", &[1])])),
        (
            "model.safetensors.index.json",
            index(&format!(
                r#""{UP}":"one.safetensors","{VISION}":"two.safetensors","lm_head.weight":"two.safetensors""#
            )),
        ),
    ]);
    let checkpoint = open(&files).expect("valid");
    assert_eq!(checkpoint.get(VISION).expect("there").file, "two.safetensors");
    assert_eq!(checkpoint.read_f32(VISION).expect("finite"), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(checkpoint.read_f32(UP).expect("finite"), [0.0, 1.0]);
}

#[test]
fn an_index_and_its_shards_must_say_the_same() {
    let with_index = |entries: &str| {
        open(&in_memory([
            ("one.safetensors", counting(&[("a", &[2])])),
            ("two.safetensors", counting(&[("b", &[2])])),
            ("model.safetensors.index.json", index(entries)),
        ]))
    };
    let (a, b) = (r#""a":"one.safetensors""#, r#""b":"two.safetensors""#);
    with_index(&format!("{a},{b}")).expect("valid");
    refused(
        with_index(&format!(r#"{a},"b":"three.safetensors""#)),
        &["index.json", "three.safetensors", "\"b\"", "not there"],
    );
    refused(with_index(&format!(r#"{a},"b":"one.safetensors""#)), &["\"b\" is not in one.safetensors"]);
    refused(
        with_index(r#""a":"two.safetensors","b":"one.safetensors""#),
        &["tensor a is in one.safetensors", "index says two"],
    );
    refused(with_index(&format!(r#"{a},{b},"c":"two.safetensors""#)), &["\"c\" is not in two.safetensors"]);
    refused(with_index(r#""a":"one.safetensors","c":"two.safetensors""#), &["tensor b of two.safetensors is not in"]);
    refused(with_index(&format!(r#"{a},"b":7"#)), &["\"b\"", "no file name"]);
}

#[test]
fn a_damaged_index_or_shard_is_refused() {
    let with = |index: &[u8], shard: Vec<u8>| {
        open(&in_memory([("one.safetensors", shard), ("model.safetensors.index.json", index.to_vec())]))
    };
    let shard = counting(&[("a", &[8])]);
    refused(with(b"{\"weight_map\": ", shard.clone()), &["index.json", "not valid JSON"]);
    refused(with(b"[]", shard.clone()), &["index.json", "weight_map"]);
    refused(with(b"{\"weight_map\": []}", shard.clone()), &["index.json", "weight_map"]);
    let cut = shard[..shard.len() - 4].to_vec();
    refused(with(&index(r#""a":"one.safetensors""#), cut), &["one.safetensors", "tensor a", "cut short"]);
}

#[test]
fn an_index_leads_nowhere_else() {
    for name in
        ["../evil.safetensors", "/etc/passwd", "x/../../evil", "..", "", "a//b", r"..\evil", "C:evil", "a\\u0000b"]
    {
        let name = name.replace('\\', r"\\").replace(r"\\u0000", r"\u0000");
        let files = in_memory([("model.safetensors.index.json", index(&format!(r#""a":"{name}""#)))]);
        refused(open(&files), &["leads out of the model's folder"]);
    }
}

#[test]
fn loose_shards_are_joined_when_all_are_there() {
    let (one, two) = (counting(&[("a", &[1])]), counting(&[("b", &[1])]));
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let both = in_memory([
        (names[0], one.clone()),
        (names[1], two.clone()),
        ("adapter_model.safetensors", counting(&[("a", &[1])])),
    ]);
    assert_eq!(open(&both).expect("valid").iter().count(), 2);
    refused(open(&in_memory([(names[0], one.clone())])), &["one of 2 shards", "1 are there"]);
    assert_eq!(open(&in_memory([("x.safetensors", one), ("y.safetensors", two)])).expect("valid").iter().count(), 2);
}

#[test]
fn a_folder_without_a_checkpoint_says_what_is_read() {
    refused(open(&in_memory([("config.json", b"{}".to_vec())])), &["model.safetensors"]);
    refused(open(&in_memory([("pytorch_model.bin", Vec::new())])), &["pickle", "safe_serialization=True"]);
}

#[test]
fn two_tensors_of_one_meaning_are_refused() {
    let bytes = counting(&[(UP, &[1]), ("model.layers.0.mlp.up_proj.weight", &[1])]);
    refused(
        open(&in_memory([("model.safetensors", bytes)])),
        &[UP, "tensor model.layers.0.mlp.up_proj.weight", "both"],
    );
    let twice = in_memory([("x.safetensors", counting(&[(UP, &[1])])), ("y.safetensors", counting(&[(UP, &[1])]))]);
    refused(open(&twice), &[UP, "x.safetensors", "y.safetensors"]);
}

#[test]
fn the_tensors_must_be_the_models() {
    let bytes = counting(&[
        (UP, &[2, 3]),
        (VISION, &[4]),
        ("model.embeddings.position_ids", &[1]),
        ("language_model.model.rotary_emb.inv_freq", &[1]),
    ]);
    let checkpoint = open(&in_memory([("model.safetensors", bytes)])).expect("valid");
    let fitting = needs(&[(UP, &[2, 3]), (VISION, &[4])]);
    checkpoint.check(&fitting, &[]).expect("fits");
    checkpoint.check(&fitting[..1], &[VISION.to_owned()]).expect("the vision tensor may be left over");

    refused(checkpoint.check(&fitting[..1], &[]), &["1 unused", VISION]);
    let more = needs(&[(UP, &[2, 3]), (VISION, &[4]), ("x.y", &[1])]);
    let message = refused(checkpoint.check(&more, &[]), &["1 missing: x.y"]);
    assert!(!message.contains("unused"), "{message}");
    refused(checkpoint.check(&needs(&[(UP, &[2, 3]), ("x.y", &[1])]), &[]), &["1 missing: x.y", "1 unused", VISION]);
    refused(checkpoint.check(&needs(&[(UP, &[3, 2]), (VISION, &[4])]), &[]), &[UP, "[2, 3]", "expected [3, 2]"]);
}

#[test]
fn a_tensor_of_another_dtype_is_refused_before_it_is_read() {
    let header = format!(r#"{{"{UP}":{{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}}}"#);
    let checkpoint = open(&in_memory([("model.safetensors", file(&header, &[0; 8]))])).expect("valid");
    refused(checkpoint.check(&needs(&[(UP, &[2])]), &[]), &[UP, "I32", "BF16"]);
}

#[test]
fn the_original_layout_takes_its_vision_tower_from_a_folder() {
    let config = serde_json::json!({"mm_vision_tower": "openai/clip-vit"});
    let model = counting(&[("model.norm.weight", &[2])]);
    let clip =
        counting(&[("vision_model.embeddings.class_embedding", &[4]), ("logit_scale", &[]), ("text_model.x", &[1])]);
    let expected = needs(&[("language_model.model.norm.weight", &[2]), (VISION, &[4])]);
    for folder in ["openai/clip-vit", "clip-vit"] {
        let name = format!("{folder}/model.safetensors");
        let files = in_memory([("model.safetensors", model.clone()), (&name, clip.clone())]);
        let tower = Checkpoint::vision_tower_files(&files, &config).expect("inside").expect("there");
        let checkpoint = Checkpoint::open(&files, Some(&tower)).expect("valid");
        checkpoint.check(&expected, &[]).expect("fits");
        assert_eq!(checkpoint.get(VISION).expect("there").file, name);
    }
    let alone = in_memory([("model.safetensors", model)]);
    for tower in ["openai/clip-vit", "/models/clip-vit", "../clip-vit", "..", ""] {
        let config = serde_json::json!({"mm_vision_tower": tower});
        assert!(Checkpoint::vision_tower_files(&alone, &config).expect("not opened").is_none(), "{tower}");
    }
    refused(open(&alone).expect("valid").check(&expected, &[]), &["no vision tower", "mm_vision_tower"]);
}

#[test]
fn a_vision_tower_inside_the_checkpoint_wins() {
    let model = counting(&[("model.vision_tower.vision_tower.vision_model.embeddings.class_embedding", &[4])]);
    let clip = in_memory([("model.safetensors", counting(&[("vision_model.embeddings.class_embedding", &[9])]))]);
    let checkpoint = Checkpoint::open(&in_memory([("model.safetensors", model)]), Some(&clip)).expect("valid");
    assert_eq!(checkpoint.get(VISION).expect("there").shape, [4]);
}
