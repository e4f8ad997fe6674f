//! One line of `metrics.jsonl`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A line: of a step, or of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// What a step did.
    Step(StepLine),
    /// What the held-out data said after a step.
    Eval(EvalLine),
}

/// What is shown of a step. What was not finite is null in the file, and none here; so is what is missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepLine {
    /// Counted from 1.
    pub step: u64,
    /// What was minimised.
    pub loss: Option<f64>,
    /// The language loss by dataset, for the datasets of this step.
    pub by_data: BTreeMap<String, Option<f64>>,
    /// The learning rate.
    pub lr: Option<f64>,
    /// Of all gradients together, before clipping.
    pub grad_norm: Option<f64>,
    /// Positions that went through the model.
    pub tokens: u64,
    /// Those by the time the step took.
    pub tokens_per_second: Option<f64>,
    /// `[layer][expert]`, fractions; empty without experts.
    pub expert_load: Vec<Vec<f32>>,
    /// Whether the weights stayed as they were.
    pub skipped: bool,
}

impl StepLine {
    /// How long the step took; none where the line does not tell.
    pub fn seconds(&self) -> Option<f64> {
        let speed = self.tokens_per_second.filter(|speed| *speed > 0.0)?;
        Some(self.tokens as f64 / speed)
    }
}

/// What the held-out data said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalLine {
    /// After this step.
    pub step: u64,
    /// Over all datasets.
    pub loss: Option<f64>,
    /// By dataset.
    pub by_data: BTreeMap<String, Option<f64>>,
    /// Whether it is the best so far.
    pub best: bool,
}

impl Line {
    /// Reads a line; none where it is not one of a run's metrics: torn, or of something else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fields: Fields = serde_json::from_slice(text).ok()?;
        let Fields { step, loss, lr, grad_norm, tokens, tokens_per_second, expert_load, skipped, .. } = fields;
        if let Some(by_data) = fields.eval_by_data {
            return Some(Self::Eval(EvalLine { step, loss: fields.eval_loss, by_data, best: fields.best }));
        }
        let by_data = fields.by_data;
        let line = StepLine { step, loss, by_data, lr, grad_norm, tokens, tokens_per_second, expert_load, skipped };
        Some(Self::Step(line))
    }
}

/// Every field that either kind of line may have; only the step is in each.
#[derive(Deserialize)]
struct Fields {
    step: u64,
    loss: Option<f64>,
    #[serde(default)]
    by_data: BTreeMap<String, Option<f64>>,
    lr: Option<f64>,
    grad_norm: Option<f64>,
    #[serde(default)]
    tokens: u64,
    tokens_per_second: Option<f64>,
    #[serde(default)]
    expert_load: Vec<Vec<f32>>,
    #[serde(default)]
    skipped: bool,
    eval_loss: Option<f64>,
    eval_by_data: Option<BTreeMap<String, Option<f64>>>,
    #[serde(default)]
    best: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line() {
        let step = concat!(
            r#"{"step":2,"loss":1.5,"lm_loss":1.4,"balance_loss":0.4,"lr":1e-4,"projector_lr":1e-5,"grad_norm":2.0,"#,
            r#""tokens":300,"supervised_tokens":20,"tokens_per_second":150.0,"expert_load":[[0.25,0.75]],"#,
            r#""by_data":{"chart":1.5,"eval_by_data":null}}"#
        );
        let Some(Line::Step(step)) = Line::parse(step.as_bytes()) else { panic!("{step}") };
        assert_eq!((step.step, step.loss, step.lr, step.grad_norm), (2, Some(1.5), Some(1e-4), Some(2.0)));
        assert_eq!((step.seconds(), step.skipped), (Some(2.0), false));
        assert_eq!(step.expert_load, [[0.25, 0.75]]);
        assert_eq!((step.by_data["chart"], step.by_data["eval_by_data"]), (Some(1.5), None));

        let skipped = Line::parse(br#"{"step":3,"loss":null,"by_data":{"chart":null},"skipped":true}"#);
        let Some(Line::Step(skipped)) = skipped else { panic!("{skipped:?}") };
        assert_eq!(
            (skipped.loss, skipped.by_data["chart"], skipped.skipped, skipped.seconds()),
            (None, None, true, None)
        );

        let eval = Line::parse(br#"{"step":2,"eval_loss":1.25,"eval_by_data":{"chart":1.25},"best":true}"#);
        let Some(Line::Eval(eval)) = eval else { panic!("{eval:?}") };
        assert_eq!((eval.step, eval.loss, eval.by_data["chart"], eval.best), (2, Some(1.25), Some(1.25), true));
    }

    #[test]
    fn what_is_no_line() {
        for text in [
            "",
            "{",
            "{\"step\":2,\"lo",
            "[]",
            "{\"loss\":1.0}",
            "{\"step\":-1}",
            "\u{feff}",
            "{\"step\":1,\"loss\":\"x\"}",
        ] {
            assert_eq!(Line::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Line::parse(b"\xff\xfe"), None);
    }
}
