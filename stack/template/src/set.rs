//! A set of named templates that can call each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ast::Template;
use crate::exec::Executor;
use crate::{Error, Escaping, FunctionSet, Limits, Value, parser};

/// Named templates that can call each other.
#[derive(Clone, Default)]
pub struct TemplateSet {
    templates: BTreeMap<String, Arc<Template>>,
    limits: Limits,
}

impl TemplateSet {
    /// The set without templates.
    pub fn new() -> Self {
        Self::default()
    }

    /// The set with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What a run of one of the templates may use up.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The names of the templates, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }

    /// Whether the set has a template of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.templates.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Template>> {
        self.templates.get(name).cloned()
    }

    /// Adds a text under `name`, and what it defines under the names that it gives. Later definitions replace earlier ones.
    ///
    /// # Errors
    /// Where the text is no template, uses a function that `functions` does not have, or is too long.
    pub fn parse(
        &mut self,
        name: &str,
        text: &str,
        functions: &dyn FunctionSet,
    ) -> Result<(), Error> {
        if text.len() > self.limits.text_bytes {
            return Err(Error::TooLarge {
                name: name.to_owned(),
                bytes: text.len(),
                limit: self.limits.text_bytes,
            });
        }
        for template in parser::parse(name, text, functions)? {
            // As in Go, an empty text does not replace a template that is there.
            if template.is_empty() && self.templates.contains_key(&template.name) {
                continue;
            }
            self.templates
                .insert(template.name.clone(), Arc::new(template));
        }
        Ok(())
    }

    /// Runs the template `name` on `data`.
    ///
    /// # Errors
    /// Where the set has no such template, the template cannot be run on the data, or exceeds a limit.
    pub fn render(
        &self,
        name: &str,
        data: &Value,
        functions: &dyn FunctionSet,
        escaping: Escaping,
    ) -> Result<String, Error> {
        let template = self.get(name).ok_or_else(|| Error::NotDefined {
            name: name.to_owned(),
        })?;
        Executor::new(self, &Self::default(), functions, template, escaping).run(data)
    }

    /// Runs a text that may call the templates of the set, without adding it (Alertmanager's `ExecuteTextString`).
    ///
    /// # Errors
    /// Where the text is no template, cannot be run on the data, or exceeds a limit.
    pub fn render_text(
        &self,
        text: &str,
        data: &Value,
        functions: &dyn FunctionSet,
        escaping: Escaping,
    ) -> Result<String, Error> {
        if text.is_empty() {
            return Ok(String::new());
        }
        let mut overlay = Self::new().with_limits(self.limits);
        overlay.parse("", text, functions)?;
        let template = overlay.get("").ok_or_else(|| Error::NotDefined {
            name: String::new(),
        })?;
        Executor::new(self, &overlay, functions, template, escaping).run(data)
    }
}
