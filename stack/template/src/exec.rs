//! Runs a tree: text, branches, loops and calls of other templates.

use std::fmt::Display;
use std::sync::Arc;

use crate::ast::{Branch, ExprKind, Node, Pipe, Template};
use crate::error::place_of;
use crate::format::print_value;
use crate::html::HtmlContext;
use crate::{Error, FunctionSet, Host, SafeKind, TemplateSet, Value};

/// What a template may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the template's text.
    pub text_bytes: usize,
    /// Bytes of the result.
    pub output_bytes: usize,
    /// Steps: nodes that are walked and functions that are called.
    pub steps: usize,
    /// Templates within templates and bodies within bodies.
    pub depth: usize,
}

impl Default for Limits {
    /// 1 MiB of text, 4 MiB of result, a million steps, 100 levels: far more than a message holds, little for a machine.
    fn default() -> Self {
        Self {
            text_bytes: 1 << 20,
            output_bytes: 4 << 20,
            steps: 1_000_000,
            depth: 100,
        }
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escaping {
    /// As they are (text/template).
    #[default]
    None,
    /// Escaped for the place in the HTML document that they stand in (html/template).
    Html,
}

/// What a node says about the loop around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// One run of a template.
pub(crate) struct Executor<'a> {
    pub(crate) set: &'a TemplateSet,
    pub(crate) overlay: &'a TemplateSet,
    pub(crate) functions: &'a dyn FunctionSet,
    pub(crate) limits: Limits,
    pub(crate) steps: usize,
    pub(crate) depth: usize,
    pub(crate) output: String,
    pub(crate) html: Option<HtmlContext>,
    /// The template that runs, for the places of errors.
    pub(crate) template: Arc<Template>,
    pub(crate) variables: Vec<(String, Value)>,
}

impl<'a> Executor<'a> {
    pub(crate) fn new(
        set: &'a TemplateSet,
        overlay: &'a TemplateSet,
        functions: &'a dyn FunctionSet,
        template: Arc<Template>,
        escaping: Escaping,
    ) -> Self {
        Self {
            set,
            overlay,
            functions,
            limits: set.limits(),
            steps: 0,
            depth: 0,
            output: String::new(),
            html: (escaping == Escaping::Html).then(HtmlContext::default),
            template,
            variables: Vec::new(),
        }
    }

    /// Runs the template on `data`.
    pub(crate) fn run(mut self, data: &Value) -> Result<String, Error> {
        self.variables.push(("$".to_owned(), data.clone()));
        let template = Arc::clone(&self.template);
        self.nodes(&template.body, data)?;
        if let Some(inside) = self.html.as_ref().and_then(HtmlContext::unfinished) {
            return Err(Error::UnfinishedHtml {
                name: template.parse_name.clone(),
                inside,
            });
        }
        Ok(self.output)
    }

    /// An error at byte `offset`, while `context` was being evaluated.
    pub(crate) fn error(
        &self,
        offset: usize,
        context: &dyn Display,
        message: impl Into<String>,
    ) -> Error {
        Error::Execute {
            place: place_of(&self.template.parse_name, &self.template.source, offset),
            template: self.template.name.clone(),
            context: context.to_string(),
            message: message.into(),
            hint: None,
        }
    }

    /// Counts a step.
    pub(crate) fn step(&mut self, offset: usize, context: &dyn Display) -> Result<(), Error> {
        self.steps += 1;
        if self.steps > self.limits.steps {
            let limit = self.limits.steps;
            return Err(self.error(
                offset,
                context,
                format!("the template took more than {limit} steps"),
            ));
        }
        Ok(())
    }

    fn write(&mut self, offset: usize, text: &str) -> Result<(), Error> {
        if self.output.len() + text.len() > self.limits.output_bytes {
            let limit = self.limits.output_bytes;
            return Err(self.error(
                offset,
                &"output",
                format!("the result has more than {limit} bytes"),
            ));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Error> {
        self.depth += 1;
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                self.depth -= 1;
                return Ok(flow);
            }
        }
        self.depth -= 1;
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, Error> {
        match node {
            Node::Text(text) => {
                self.step(0, &"text")?;
                if let Some(context) = &mut self.html {
                    let text = context.literal(text);
                    self.write(0, &text)?;
                } else {
                    self.write(0, text)?;
                }
            }
            Node::Action(pipe) => {
                self.step(pipe.offset, pipe)?;
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.print(pipe, &value)?;
                }
            }
            Node::If(branch) => return self.branch(branch, dot, false),
            Node::With(branch) => return self.branch(branch, dot, true),
            Node::Range(branch) => return self.range(branch, dot),
            Node::Template { offset, name, pipe } => {
                self.call_template(*offset, name, pipe.as_ref(), dot)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, pipe: &Pipe, value: &Value) -> Result<(), Error> {
        let text = match &mut self.html {
            Some(context) => match escaped_by_hand(pipe) {
                Some(kind) => context.escape(&Value::Safe(kind, print_value(value).into())),
                None => context.escape(value),
            },
            None => print_value(value),
        };
        self.write(pipe.offset, &text)
    }

    fn branch(&mut self, branch: &Branch, dot: &Value, with: bool) -> Result<Flow, Error> {
        self.step(branch.pipe.offset, &branch.pipe)?;
        self.check_depth(branch.pipe.offset, &branch.pipe)?;
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if !value.is_true() {
            self.nodes(&branch.otherwise, dot)
        } else if with {
            self.nodes(&branch.body, &value)
        } else {
            self.nodes(&branch.body, dot)
        };
        self.variables.truncate(mark);
        flow
    }

    fn check_depth(&self, offset: usize, context: &dyn Display) -> Result<(), Error> {
        if self.depth < self.limits.depth {
            return Ok(());
        }
        let limit = self.limits.depth;
        Err(self.error(
            offset,
            context,
            format!("exceeded maximum template depth ({limit})"),
        ))
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, Error> {
        let pipe = &branch.pipe;
        self.step(pipe.offset, pipe)?;
        self.check_depth(pipe.offset, pipe)?;
        let mark = self.variables.len();
        let value = self.pipeline(dot, pipe)?;
        // The variables that the pipeline declared are there from here on; each turn sets them.
        let body_mark = self.variables.len();
        let mut turns = 0_usize;
        let mut flow = Flow::Next;
        let mut turn = |own: &mut Self, key: Value, element: &Value| -> Result<bool, Error> {
            turns += 1;
            own.step(pipe.offset, pipe)?;
            own.set_range_variables(pipe, key, element)?;
            let end = own.nodes(&branch.body, element)?;
            own.variables.truncate(body_mark);
            Ok(end == Flow::Break)
        };
        match value.plain() {
            Value::Nil => {}
            Value::Int(count) => {
                for index in 0..*count {
                    if turn(self, Value::Int(index), &Value::Int(index))? {
                        break;
                    }
                }
            }
            Value::List(values) => {
                for (index, element) in values.iter().enumerate() {
                    if turn(self, Value::Int(index as i64), element)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, element) in &map.entries {
                    if turn(self, Value::text(key), element)? {
                        break;
                    }
                }
            }
            other => {
                let shown = print_value(other);
                return Err(self.error(
                    pipe.offset,
                    pipe,
                    format!("range can't iterate over {shown}"),
                ));
            }
        }
        if turns == 0 {
            flow = self.nodes(&branch.otherwise, dot)?;
        }
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn set_range_variables(
        &mut self,
        pipe: &Pipe,
        key: Value,
        element: &Value,
    ) -> Result<(), Error> {
        let (first, second) = match pipe.variables.as_slice() {
            [] => return Ok(()),
            [only] => (None, Some(only)),
            [first, second, ..] => (Some((first, key)), Some(second)),
        };
        if let Some((name, key)) = first {
            self.set_variable(pipe, name, key)?;
        }
        if let Some(name) = second {
            self.set_variable(pipe, name, element.clone())?;
        }
        Ok(())
    }

    /// Sets the innermost variable of the name.
    pub(crate) fn set_variable(
        &mut self,
        pipe: &Pipe,
        name: &str,
        value: Value,
    ) -> Result<(), Error> {
        match self.variables.iter_mut().rev().find(|(own, _)| own == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => Err(self.error(pipe.offset, pipe, format!("undefined variable: {name}"))),
        }
    }

    fn lookup(&self, name: &str) -> Option<Arc<Template>> {
        let own = self.overlay.get(name);
        match (&own, self.set.get(name)) {
            // A text that is rendered over a set counts as a template without a name, not as a replacement.
            (Some(template), Some(other)) if template.is_empty() => Some(other),
            (Some(_), _) => own,
            (None, other) => other,
        }
    }

    fn call_template(
        &mut self,
        offset: usize,
        name: &str,
        pipe: Option<&Pipe>,
        dot: &Value,
    ) -> Result<(), Error> {
        let context = || match pipe {
            Some(pipe) => format!("{{{{template {name:?} {pipe}}}}}"),
            None => format!("{{{{template {name:?}}}}}"),
        };
        self.step(offset, &"template")?;
        let Some(template) = self.lookup(name) else {
            let mut error =
                self.error(offset, &context(), format!("template {name:?} not defined"));
            if let Error::Execute { hint, .. } = &mut error {
                let names = self.set.names().chain(self.overlay.names());
                *hint = gameday_signal::nearest(name, names)
                    .map(|near| format!("did you mean {near:?}?"));
            }
            return Err(error);
        };
        self.check_depth(offset, &context())?;
        let data = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Nil,
        };
        self.enter(&template, &data)
    }

    /// Runs another template, which sees none of the caller's variables.
    fn enter(&mut self, template: &Arc<Template>, data: &Value) -> Result<(), Error> {
        let caller = std::mem::replace(&mut self.template, Arc::clone(template));
        let variables =
            std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        self.nodes(&template.body, data)?;
        self.template = caller;
        self.variables = variables;
        Ok(())
    }
}

impl Host for Executor<'_> {
    fn render(&mut self, name: &str, data: &Value) -> Result<String, String> {
        let Some(template) = self.lookup(name) else {
            return Err(format!("template: no template {name:?} associated"));
        };
        self.check_depth(0, &name)
            .map_err(|error| error.to_string())?;
        let output = std::mem::take(&mut self.output);
        let html = self.html.as_mut().map(std::mem::take);
        let result = self.enter(&template, data);
        let rendered = std::mem::replace(&mut self.output, output);
        self.html = html;
        result.map_err(|error| error.to_string())?;
        Ok(rendered)
    }
}

/// What a pipeline that ends in `html` or `urlquery` has escaped already: html/template does not do the same again.
fn escaped_by_hand(pipe: &Pipe) -> Option<SafeKind> {
    let last = pipe.commands.last()?.words.first()?;
    match &last.kind {
        ExprKind::Function(name) if name == "html" => Some(SafeKind::Html),
        ExprKind::Function(name) if name == "urlquery" => Some(SafeKind::Url),
        _ => None,
    }
}
