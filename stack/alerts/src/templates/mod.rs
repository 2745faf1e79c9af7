//! The templates of messages: the default ones, and those of the user's files.

use gameday_signal::Timestamp;
use gameday_template::{AlertmanagerFunctions, Error, Escaping, TemplateSet, Value};

use crate::config::Config;

/// The templates that messages can call.
#[derive(Clone)]
pub struct Templates {
    set: TemplateSet,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.set.names()).finish()
    }
}

/// A template that is no good: where it stands, what Alertmanager would say, and a hint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}{}", hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default())]
pub struct TemplateProblem {
    /// The file, or the way to the key in alertmanager.yml (`receivers[0].slack_configs[0].title`).
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl TemplateProblem {
    fn new(place: &str, error: &Error) -> Self {
        Self {
            place: place.to_owned(),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

/// The functions without a clock, for parsing alone.
const PARSING: AlertmanagerFunctions = AlertmanagerFunctions {
    now: Timestamp::EPOCH,
};

/// What stands in the e-mail template for the attributes that nearly every element repeats.
const EMAIL_STYLES: [(&str, &str); 3] = [
    ("%base%", "margin: 0; %font% font-size: 14px;"),
    (
        "%font%",
        "font-family: 'Helvetica Neue', Helvetica, Arial, sans-serif; box-sizing: border-box;",
    ),
    ("%top%", "valign=\"top\""),
];

/// The default templates; their names are part of Alertmanager's interface, since user templates call them.
const DEFAULTS: [(&str, &str); 2] = [
    ("default.tmpl", include_str!("default.tmpl")),
    ("email.tmpl", include_str!("email.tmpl")),
];

impl Default for Templates {
    /// The default templates alone.
    fn default() -> Self {
        let mut set = TemplateSet::new();
        for (name, text) in DEFAULTS {
            let text = EMAIL_STYLES
                .iter()
                .fold(text.to_owned(), |text, (token, style)| {
                    text.replace(token, style)
                });
            set.parse(name, &text, &PARSING)
                .expect("invariant: the default templates are templates");
        }
        Self { set }
    }
}

impl Templates {
    /// The default templates and those of the given files (name and text), which may replace them.
    ///
    /// # Errors
    /// Names the first file that is no template.
    pub fn new<N: AsRef<str>, T: AsRef<str>>(
        files: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Self, TemplateProblem> {
        let mut templates = Self::default();
        for (name, text) in files {
            let name = name.as_ref();
            // Go names a template after the file alone.
            let base = name.rsplit('/').next().unwrap_or(name);
            templates
                .set
                .parse(base, text.as_ref(), &PARSING)
                .map_err(|error| TemplateProblem::new(name, &error))?;
        }
        Ok(templates)
    }

    /// Checks every template in alertmanager.yml itself and names those that are no good.
    pub fn check(&self, config: &Config) -> Vec<TemplateProblem> {
        let mut problems = Vec::new();
        // Through JSON, so that no key is forgotten; secrets are masked there.
        let Ok(receivers) = serde_json::to_value(config.receivers()) else {
            return problems;
        };
        self.check_value("receivers", &receivers, &mut problems);
        problems
    }

    fn check_value(
        &self,
        place: &str,
        value: &serde_json::Value,
        problems: &mut Vec<TemplateProblem>,
    ) {
        match value {
            serde_json::Value::String(text) if text.contains("{{") => {
                let mut set = self.set.clone();
                if let Err(error) = set.parse("", text, &PARSING) {
                    problems.push(TemplateProblem::new(place, &error));
                } else if let Some(name) = undefined_template(&self.set, text) {
                    problems.push(TemplateProblem {
                        place: place.to_owned(),
                        message: format!("template: {name:?} not defined"),
                        hint: None,
                    });
                }
            }
            serde_json::Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.check_value(&format!("{place}[{index}]"), value, problems);
                }
            }
            serde_json::Value::Object(entries) => {
                for (name, value) in entries {
                    self.check_value(&format!("{place}.{name}"), value, problems);
                }
            }
            _ => {}
        }
    }

    /// Runs a text that may call the templates.
    pub(crate) fn render(
        &self,
        text: &str,
        data: &Value,
        now: Timestamp,
        escaping: Escaping,
    ) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let functions = AlertmanagerFunctions { now };
        self.set
            .render_text(text, data, &functions, escaping)
            .map_err(|error| match error.hint() {
                Some(hint) => format!("{error} (hint: {hint})"),
                None => error.to_string(),
            })
    }
}

/// A template that `text` calls by a literal name although neither the set nor the text defines it.
fn undefined_template(set: &TemplateSet, text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        rest = rest[start + 2..].trim_start_matches('-').trim_start();
        let Some(call) = rest.strip_prefix("template ") else {
            continue;
        };
        let name = call.trim_start().strip_prefix('"')?.split('"').next()?;
        if !set.contains(name) && !text.contains(&format!("define \"{name}\"")) {
            return Some(name.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(title: &str) -> Vec<String> {
        let yaml = format!(
            "route: {{receiver: a}}\nreceivers:\n- name: a\n  slack_configs:\n  - api_url: http://slack/\n    title: '{title}'\n"
        );
        let config = Config::load("alertmanager.yml", &yaml).unwrap();
        let problems = Templates::default().check(&config);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn templates_in_the_configuration_are_checked() {
        assert_eq!(
            problems("{{ .CommonLabels.alertname | toUpper }}"),
            Vec::<String>::new()
        );
        let helm = problems("{{ .X | default \"N/A\" }}");
        assert_eq!(helm.len(), 1);
        assert!(
            helm[0].starts_with(
                "receivers[0].slack_configs[0].title: template: :1: function \"default\" not defined (hint: "
            ) && helm[0].contains("Helm"),
            "{}",
            helm[0]
        );
        assert_eq!(
            problems("{{ template \"slak.title\" . }}"),
            ["receivers[0].slack_configs[0].title: template: \"slak.title\" not defined"]
        );
    }

    #[test]
    fn a_file_that_is_no_template_is_named() {
        let error = Templates::new([("dir/a.tmpl", "{{ define \"x\" }}")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "dir/a.tmpl: template: a.tmpl:1: unexpected EOF"
        );
    }
}
