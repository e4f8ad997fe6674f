//! `ask`: the answers are those of transformers, and every flag does what its help says.

use serde_json::Value;

use crate::fixture::{Case, case, cases, model, picture};
use crate::program::{Program, ask, on_cpu};

/// Vicuna v1 with the system prompt of LLaVA-1.5: what a checkpoint without a chat template gets.
fn vicuna(question: &str, pictures: usize) -> String {
    let images = "<image>\n".repeat(pictures);
    format!(
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, \
         detailed, and polite answers to the user's questions. USER: {images}{question} ASSISTANT:"
    )
}

fn raw(case: &Case, prompt: &str) -> Program {
    ask(&case.model, prompt).images(&case.pictures).arg("--raw").tokens(48)
}

fn ids(reply: &Value) -> Vec<i64> {
    reply["token_ids"].as_array().expect("a list").iter().map(|id| id.as_i64().expect("a number")).collect()
}

fn text(reply: &Value) -> &str {
    reply["text"].as_str().expect("text")
}

/// End-of-text does not occur in the expected tokens.
#[test]
fn raw_prompts_get_the_greedy_tokens_of_transformers() {
    for case in cases() {
        let reply = raw(&case, &case.prompt).arg("--json").json();
        assert_eq!(ids(&reply), case.expected.ints("greedy_ids"), "{}", case.name);
        assert_eq!(reply["stop_reason"], "max_tokens", "{}", case.name);
    }
}

#[test]
fn json_is_one_object_with_all_the_fields() {
    for case in cases() {
        let finished = raw(&case, &case.prompt).arg("--json").succeed();
        let reply = finished.json();
        assert_eq!(finished.stdout.lines().count(), 1, "{finished:#?}");
        let mut fields: Vec<&str> = reply.as_object().expect("an object").keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["image_tokens", "prompt_tokens", "stop_reason", "text", "timings", "token_ids"]);

        let patches: usize = case.expected.shape("image_features")[..2].iter().product();
        assert_eq!(reply["image_tokens"], patches, "{}", case.name);
        assert_eq!(reply["prompt_tokens"], case.expected.shape("logits")[0], "{}", case.name);
        for time in ["prefill_seconds", "decode_seconds", "tokens_per_second"] {
            assert!(reply["timings"][time].as_f64().expect("a number") > 0.0, "{time}: {reply}");
        }
    }
}

#[test]
fn words_are_streamed_as_they_stand_in_the_json() {
    for case in cases() {
        let streamed = raw(&case, &case.prompt).succeed().stdout;
        let reply = raw(&case, &case.prompt).arg("--json").json();
        assert_eq!(streamed, format!("{}\n", text(&reply)), "{}", case.name);
    }
}

/// The question by the template and the prompt that the template should make of it are the same tokens, so the same
/// reply; a chat's reply drops the space in front.
#[test]
fn questions_are_put_in_the_chat_template() {
    for case in cases() {
        let prompt = case.chat_prompt.clone().unwrap_or_else(|| vicuna(&case.question, case.pictures.len()));
        let asked = ask(&case.model, &case.question).images(&case.pictures).tokens(48).arg("--json").json();
        let wanted = raw(&case, &prompt).arg("--json").json();
        assert_eq!(asked["prompt_tokens"], wanted["prompt_tokens"], "{}", case.name);
        assert_eq!(ids(&asked), ids(&wanted), "{}", case.name);
        assert_eq!(text(&asked), text(&wanted).trim_start(), "{}", case.name);
    }
}

#[test]
fn a_picture_changes_the_answer() {
    let look =
        |name: &str| ids(&ask(model("mha"), "What is this?").images([picture(name)]).tokens(8).arg("--json").json());
    assert_ne!(look("landscape.png"), look("gray.png"));
    let blind = ask(model("mha"), "What is this?").tokens(8).arg("--json").json();
    assert_eq!(blind["image_tokens"], 0);
    assert_ne!(ids(&blind), look("landscape.png"));
}

#[test]
fn two_pictures_are_taken_in_order() {
    let case = case("two_images");
    let look = |pictures: [&str; 2]| {
        let reply = ask(&case.model, &case.question).images(pictures.map(picture)).tokens(8).arg("--json").json();
        assert_eq!(reply["image_tokens"], 18);
        ids(&reply)
    };
    assert_ne!(look(["landscape.png", "gray.png"]), look(["gray.png", "landscape.png"]));
}

#[test]
fn a_prompt_from_standard_input_is_that_of_the_command_line() {
    let case = case("no_image");
    let asked = ask(&case.model, &case.question).tokens(8).succeed().stdout;
    // A here-document ends in a newline.
    for piped in [case.question.clone(), format!("{}\n", case.question)] {
        assert_eq!(ask(&case.model, "-").tokens(8).stdin(piped).succeed().stdout, asked);
    }
}

#[test]
fn draws_are_repeated_by_their_seed() {
    let case = case("no_image");
    let draw = |seed: &str| {
        let drawn =
            ask(&case.model, &case.question).tokens(24).args(["--json", "--temperature", "1.5", "--seed", seed]);
        ids(&drawn.json())
    };
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
    let greedy = ids(&ask(&case.model, &case.question).tokens(24).arg("--json").json());
    assert_ne!(draw("1"), greedy);
}

#[test]
fn the_only_candidate_left_is_the_likeliest() {
    let case = case("no_image");
    let hot = ["--json", "--temperature", "2"];
    for narrow in [["--top-k", "1"], ["--top-p", "0"], ["--top-p", "0.000001"]] {
        let drawn = raw(&case, &case.prompt).args(hot).args(narrow).json();
        assert_eq!(ids(&drawn), case.expected.ints("greedy_ids"), "{narrow:?}");
    }
}

#[test]
fn a_repetition_penalty_makes_repeats_rarer() {
    // Its greedy reply repeats single tokens.
    let case = case("tied");
    let repeats = |ids: Vec<i64>| ids.windows(2).filter(|pair| pair[0] == pair[1]).count();
    let plain = raw(&case, &case.prompt).arg("--json").json();
    let penalised = raw(&case, &case.prompt).args(["--json", "--repetition-penalty", "2"]).json();
    assert!(repeats(ids(&plain)) > 10 && repeats(ids(&penalised)) == 0, "{plain}, {penalised}");
    let off = raw(&case, &case.prompt).args(["--json", "--repetition-penalty", "1"]).json();
    assert_eq!(ids(&off), ids(&plain));
}

#[test]
fn the_reply_ends_at_the_context_and_at_the_limit() {
    let case = case("mha");
    let at_most =
        |tokens: usize| ask(&case.model, &case.prompt).images(&case.pictures).args(["--raw", "--json"]).tokens(tokens);
    let reply = at_most(1000).json();
    assert_eq!(reply["stop_reason"], "context");
    // 256 positions; the last token needs none.
    assert_eq!(ids(&reply).len(), 256 - reply["prompt_tokens"].as_u64().expect("a number") as usize + 1);
    let none = at_most(0).json();
    assert!(ids(&none).is_empty() && text(&none).is_empty(), "{none}");
}

#[test]
fn f16_weights_answer_and_say_so() {
    let case = case("mha");
    let finished = raw(&case, &case.prompt).args(["--json", "--weights", "f16"]).succeed();
    assert!(finished.stderr.contains("weights in f16"), "{finished:#?}");
    let first = ids(&finished.json())[0];
    assert_eq!(first, case.expected.ints("greedy_ids")[0]);
}

#[test]
fn naming_the_weights_file_means_its_folder() {
    let case = case("no_image");
    for file in ["model.safetensors", "config.json"] {
        let reply = on_cpu("ask", case.model.join(file)).arg(&case.prompt).args(["--raw", "--json"]).tokens(48).json();
        assert_eq!(ids(&reply), case.expected.ints("greedy_ids"));
    }
}
