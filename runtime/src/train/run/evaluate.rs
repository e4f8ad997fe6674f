//! The loss on held-out data in the middle of a run.

use std::collections::BTreeMap;

use super::{OnEvent, Run, load};
use crate::error::Result;
use crate::train::files;
use crate::train::learner::Learner;
use crate::train::metrics::EvalMetrics;
use crate::train::step::evaluate;

impl Run {
    /// Measures every held-out dataset, and keeps the weights aside where they are the best and the run may stop early;
    /// `None` if it was stopped.
    pub(super) async fn evaluate(
        &mut self,
        learner: &mut Learner,
        on_event: &mut OnEvent<'_>,
    ) -> Result<Option<EvalMetrics>> {
        let mut eval_by_data = BTreeMap::new();
        let (mut sum, mut count) = (0.0, 0usize);
        for (number, data) in self.eval.iter().enumerate() {
            let most = match self.config.train.eval_samples {
                0 => data.len(),
                most => most.min(data.len()),
            };
            let (mut of_data, mut tokens) = (0.0, 0usize);
            for first in (0..most).step_by(self.config.train.micro_batch) {
                if on_event(None).is_break() {
                    return Ok(None);
                }
                let last = (first + self.config.train.micro_batch).min(most);
                let samples = (first..last)
                    .map(|index| load(data, number, index, &self.encoder, &self.preprocessor))
                    .collect::<Result<Vec<_>>>()?;
                let losses = evaluate(&learner.model, &samples)?.read().await?.token_losses;
                of_data += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
                tokens += losses.len();
            }
            eval_by_data.insert(data.name().to_string(), of_data / tokens.max(1) as f64);
            (sum, count) = (sum + of_data, count + tokens);
        }
        let eval_loss = sum / count.max(1) as f64;
        // One that is not finite is never the best.
        let best = eval_loss.is_finite() && self.state.best_eval.is_none_or(|best| eval_loss < best);
        if best {
            (self.state.best_eval, self.state.evals_since_best) = (Some(eval_loss), 0);
            if self.config.train.early_stopping > 0 {
                let files = self.result_files(learner).await?;
                files::write_folder(&self.config.output.join("best"), &files)?;
            }
        } else {
            self.state.evals_since_best += 1;
        }
        Ok(Some(EvalMetrics { step: self.state.step, eval_loss, eval_by_data, best }))
    }
}
