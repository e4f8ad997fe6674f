//! Where a checkpoint keeps its chat template.
//!
//! Over the years transformers has put it in three places, and written it as one template or as several with names.

use serde_json::Value;

/// The chat template of a checkpoint and the file it is in, in the order of transformers.
///
/// - `chat_template_jinja`: the text of chat_template.jinja.
///
/// Of several named templates the one called `default` is taken.
pub fn find_template(
    tokenizer_config: Option<&Value>,
    chat_template_json: Option<&Value>,
    chat_template_jinja: Option<&str>,
) -> Option<(String, &'static str)> {
    let in_json = |json: Option<&Value>| {
        let template = json?.get("chat_template")?;
        let named = |entry: &Value| entry.get("name").is_some_and(|name| name == "default");
        let template = match template {
            Value::Array(list) => list.iter().find(|entry| named(entry))?.get("template")?,
            Value::Object(map) => map.get("default")?,
            text => text,
        };
        template.as_str().map(str::to_owned)
    };
    None.or_else(|| Some((chat_template_jinja?.to_owned(), "chat_template.jinja")))
        .or_else(|| Some((in_json(chat_template_json)?, "chat_template.json")))
        .or_else(|| Some((in_json(tokenizer_config)?, "tokenizer_config.json")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_found_in_the_order_of_transformers() {
        let in_config = json!({"chat_template": "config"});
        let in_json = json!({"chat_template": "json"});
        let both = |jinja| find_template(Some(&in_config), Some(&in_json), jinja);
        assert_eq!(both(Some("jinja")), Some(("jinja".into(), "chat_template.jinja")));
        assert_eq!(both(None), Some(("json".into(), "chat_template.json")));
        assert_eq!(find_template(Some(&in_config), None, None), Some(("config".into(), "tokenizer_config.json")));
        let named = json!({"chat_template": [
            {"name": "tool_use", "template": "tools"}, {"name": "default", "template": "named"}]});
        assert_eq!(find_template(Some(&named), None, None), Some(("named".into(), "tokenizer_config.json")));
        assert_eq!(
            find_template(Some(&named), Some(&json!({"chat_template": {"default": "map"}})), None).unwrap().0,
            "map"
        );
        assert_eq!(find_template(Some(&json!({"chat_template": null})), Some(&json!({})), None), None);
        assert_eq!(find_template(None, None, None), None);
    }
}
