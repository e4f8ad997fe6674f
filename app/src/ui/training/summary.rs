//! What a run says in words: for everybody, and for a screen reader above all.

use std::path::Path;

use super::numbers;
use crate::language::Language;
use crate::training::{Reading, Snapshot};

/// After so many seconds without a step something is said.
const QUIET_AFTER: f64 = 120.0;

/// How far the run is, in a line; none before its first step.
pub fn headline(snapshot: &Snapshot, language: Language) -> Option<String> {
    let curves = &snapshot.curves;
    if curves.step == 0 {
        return None;
    }
    let step = numbers::count(curves.step);
    let mut parts = vec![match snapshot.landmarks.steps {
        Some(steps) => {
            let (steps, part) = (numbers::count(steps), numbers::percent(fraction(snapshot).unwrap_or_default()));
            language.pick(format!("Step {step} of {steps} ({part})"), format!("第 {step} 步，共 {steps} 步（{part}）"))
        }
        None => language.pick(format!("Step {step}"), format!("第 {step} 步")),
    }];
    if let Some((_, loss)) = curves.loss.last() {
        parts.push(format!("{} {}", language.pick("loss", "损失"), numbers::value(loss)));
    }
    if let Some((_, rate)) = curves.lr.last() {
        parts.push(format!("{} {}", language.pick("learning rate", "学习率"), numbers::value(rate)));
    }
    if let Some((_, speed)) = curves.tokens_per_second.last() {
        parts.push(format!("{speed:.0} {}", language.pick("tokens/s", "词元/秒")));
    }
    let left = snapshot.landmarks.steps.and_then(|steps| curves.seconds_left(steps));
    if let Some(left) = left.filter(|left| *left > 0.0 && snapshot.landmarks.result.is_none()) {
        let left = numbers::duration(left, language);
        parts.push(language.pick(format!("about {left} left"), format!("约剩 {left}")));
    }
    Some(parts.join(language.pick(" · ", "，")))
}

/// The part of the run that is done, where its length is known.
pub fn fraction(snapshot: &Snapshot) -> Option<f64> {
    let steps = snapshot.landmarks.steps.filter(|steps| *steps > 0)?;
    Some((snapshot.curves.step as f64 / steps as f64).min(1.0))
}

/// What else is to be known, a sentence each. `quiet` is for how many seconds nothing new came.
pub fn remarks(snapshot: &Snapshot, quiet: f64, language: Language) -> Vec<String> {
    let (curves, landmarks) = (&snapshot.curves, &snapshot.landmarks);
    let mut remarks = Vec::new();
    if let Some(result) = &landmarks.result {
        remarks.push(language.pick(
            format!("The run has ended; its result is in {result}/."),
            format!("训练已结束，结果在 {result}/ 中。"),
        ));
    } else if quiet >= QUIET_AFTER && curves.step > 0 {
        let quiet = numbers::duration(quiet, language);
        remarks.push(language.pick(
            format!(
                "Nothing new for {quiet}: the run measures held-out data, or it was stopped. `llava-mole train CONFIG \
                 --resume` takes a stopped one up again."
            ),
            format!("{quiet}没有新内容：正在评估留出数据，或者训练已停止。停止的训练可用 `llava-mole train CONFIG --resume` 继续。"),
        ));
    }
    if let Some(step) = landmarks.checkpoint {
        let step = numbers::count(step);
        remarks.push(
            language.pick(format!("The newest checkpoint is of step {step}."), format!("最新的检查点在第 {step} 步。")),
        );
    }
    if let Some((step, loss)) = curves.best {
        let (step, loss) = (numbers::count(step), numbers::value(loss));
        remarks.push(language.pick(
            format!("The best held-out loss is {loss}, of step {step}."),
            format!("最佳留出损失为 {loss}，在第 {step} 步。"),
        ));
    }
    if let Some(step) = curves.skipped_steps.last() {
        let (skipped, step) = (numbers::count(curves.skipped), numbers::count(*step));
        remarks.push(language.pick(
            format!(
                "Steps skipped: {skipped}, the last one step {step}, marked red. A number was not finite, and the \
                 weights stayed as they were. If there are more and more, lower train.lr."
            ),
            format!("跳过了 {skipped} 步，最后一次是第 {step} 步（以红线标出）：数值不是有限数，权重保持不变。如果越来越多，请降低 train.lr。"),
        ));
    }
    if curves.bad_lines > 0 {
        let bad = numbers::count(curves.bad_lines);
        remarks.push(language.pick(
            format!("Lines of metrics.jsonl that could not be read and were left out: {bad}."),
            format!("metrics.jsonl 中有 {bad} 行无法读取，已略过。"),
        ));
    }
    remarks
}

/// What stands in the way of reading, and what to do about it; none where nothing does.
pub fn trouble(snapshot: &Snapshot, folder: &Path, language: Language) -> Option<String> {
    let folder = folder.display();
    match &snapshot.reading {
        Reading::NoFolder => Some(language.pick(
            format!(
                "There is no folder {folder}. Check the path; a folder of another machine has to be mounted here first. \
                 It is looked for every second."
            ),
            format!("没有文件夹 {folder}。请检查路径；另一台机器上的文件夹需要先挂载到本机。每秒会再找一次。"),
        )),
        Reading::NoMetrics => Some(language.pick(
            format!(
                "{folder} has no metrics.jsonl. A run writes it with its first step, into the folder that its \
                 configuration calls `output`. It is looked for every second."
            ),
            format!("{folder} 中没有 metrics.jsonl。训练在第一步时写入，位于配置中 `output` 所指的文件夹。每秒会再找一次。"),
        )),
        Reading::Failed(reason) => Some(language.pick(
            format!(
                "{folder} cannot be read: {reason}. Check its permissions and, if it is another machine's, the \
                 connection. It is tried every second."
            ),
            format!("无法读取 {folder}：{reason}。请检查权限；如果在另一台机器上，请检查连接。每秒会再试一次。"),
        )),
        Reading::Partly { .. } | Reading::UpToDate => None,
    }
}

/// How far reading is, while it takes long; or that there is nothing to show yet.
pub fn progress(snapshot: &Snapshot, language: Language) -> Option<String> {
    match snapshot.reading {
        Reading::Partly { read, of } => {
            let (part, of) = (numbers::percent(read as f64 / of.max(1) as f64), numbers::bytes(of));
            Some(language.pick(format!("Reading: {part} of {of}."), format!("正在读取：{of} 的 {part}。")))
        }
        Reading::UpToDate if snapshot.curves.step == 0 => Some(
            language
                .pick("metrics.jsonl is there, and has no step yet.", "metrics.jsonl 已存在，但还没有任何一步。")
                .to_owned(),
        ),
        _ => None,
    }
}

/// What is said when the folder does not answer.
pub fn no_answer(seconds: f64, language: Language) -> String {
    let time = numbers::duration(seconds, language);
    language.pick(
        format!(
            "The folder has not answered for {time}. If it is another machine's, check the connection; reading goes on \
             when it answers."
        ),
        format!("文件夹已有 {time}没有响应。如果在另一台机器上，请检查连接；恢复响应后会继续读取。"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::{Curves, Landmarks};

    fn snapshot(lines: &str, landmarks: Landmarks) -> Snapshot {
        let mut curves = Curves::default();
        lines.lines().for_each(|line| curves.add(line.as_bytes()));
        Snapshot { reading: Reading::UpToDate, curves, landmarks }
    }

    const LINES: &str = concat!(
        r#"{"step":1200,"loss":1.23456,"lr":2e-4,"tokens":500,"tokens_per_second":1000.0,"by_data":{"a":1.0}}"#,
        "\n",
        r#"{"step":1200,"eval_loss":1.5,"eval_by_data":{"a":1.5},"best":true}"#,
        "\n",
        r#"{"step":1201,"loss":null,"lr":2e-4,"tokens":500,"tokens_per_second":1000.0,"skipped":true}"#,
        "\n{torn\n",
    );

    #[test]
    fn a_run_in_words() {
        let landmarks = Landmarks { result: None, checkpoint: Some(1200), steps: Some(2401) };
        let mut run = snapshot(LINES, landmarks);
        let english = headline(&run, Language::English).unwrap();
        assert_eq!(
            english,
            "Step 1,201 of 2,401 (50%) · loss 1.235 · learning rate 2.00e-4 · 1000 tokens/s · about 10 min left"
        );
        let chinese = headline(&run, Language::Chinese).unwrap();
        assert_eq!(chinese, "第 1,201 步，共 2,401 步（50%），损失 1.235，学习率 2.00e-4，1000 词元/秒，约剩 10分");
        assert_eq!(fraction(&run), Some(1201.0 / 2401.0));
        let said = remarks(&run, 0.0, Language::English);
        assert_eq!(said.len(), 4, "{said:?}");
        for (said, words) in
            said.iter().zip(["step 1,200", "1.500, of step 1,200", "step 1,201, marked red", "left out: 1"])
        {
            assert!(said.contains(words), "{said}");
        }
        assert!(remarks(&run, 300.0, Language::English)[0].starts_with("Nothing new for 5 min"));
        run.landmarks.result = Some("adapter".to_owned());
        assert!(remarks(&run, 300.0, Language::English)[0].contains("result is in adapter/"));
        assert!(!headline(&run, Language::English).unwrap().contains("left"));
        assert_eq!(remarks(&run, 300.0, Language::Chinese).len(), 5);
    }

    #[test]
    fn every_trouble_says_what_to_do() {
        let mut run = snapshot("", Landmarks::default());
        assert_eq!(headline(&run, Language::English), None);
        assert_eq!(progress(&run, Language::English).unwrap(), "metrics.jsonl is there, and has no step yet.");
        let folder = Path::new("/mnt/run");
        for (reading, words) in [
            (Reading::NoFolder, "mounted here first"),
            (Reading::NoMetrics, "calls `output`"),
            (Reading::Failed("input/output error".to_owned()), "input/output error. Check its permissions"),
        ] {
            run.reading = reading;
            for language in Language::ALL {
                let said = trouble(&run, folder, language).unwrap();
                assert!(said.contains("/mnt/run"), "{said}");
            }
            assert!(trouble(&run, folder, Language::English).unwrap().contains(words));
        }
        run.reading = Reading::Partly { read: 1_000_000, of: 4_000_000 };
        assert_eq!(progress(&run, Language::English).unwrap(), "Reading: 25% of 4 MB.");
        assert_eq!(trouble(&run, folder, Language::English), None);
    }
}
