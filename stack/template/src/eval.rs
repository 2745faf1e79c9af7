//! Evaluates pipelines: fields, methods, functions and their arguments.

use std::fmt::Display;

use crate::ast::{Command, Expr, ExprKind, Number, Pipe};
use crate::exec::Executor;
use crate::{Error, Param, Signature, Value, builtins};

impl Executor<'_> {
    /// The value of a pipeline; its variables are declared or set.
    pub(crate) fn pipeline(&mut self, dot: &Value, pipe: &Pipe) -> Result<Value, Error> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assign {
                self.set_variable(pipe, name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    /// The value of a command; `last` is the value of the command before it.
    fn command(
        &mut self,
        dot: &Value,
        command: &Command,
        last: Option<Value>,
    ) -> Result<Value, Error> {
        let first = &command.words[0];
        let arguments = &command.words[1..];
        match &first.kind {
            ExprKind::Field(_) | ExprKind::Variable(..) | ExprKind::Chain(..) => {
                self.fields(dot, first, arguments, last)
            }
            ExprKind::Function(name) => self.function(dot, first, name, command, arguments, last),
            ExprKind::Nil => Err(self.error(first.offset, first, "nil is not a command")),
            _ if !arguments.is_empty() || last.is_some() => Err(self.error(
                first.offset,
                first,
                format!("can't give argument to non-function {first}"),
            )),
            ExprKind::Pipe(pipe) => self.pipeline(dot, pipe),
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Bool(truth) => Ok(Value::Bool(*truth)),
            ExprKind::Str(text, _) => Ok(Value::Str(text.clone())),
            ExprKind::Number(number) => Ok(constant(number)),
        }
    }

    /// A field, variable or chain; the arguments are for the last name in it.
    fn fields(
        &mut self,
        dot: &Value,
        expr: &Expr,
        arguments: &[Expr],
        last: Option<Value>,
    ) -> Result<Value, Error> {
        let (mut receiver, names) = match &expr.kind {
            // A template that was called without data has no value in any field.
            ExprKind::Field(_) if matches!(dot, Value::Nil) => return Ok(Value::Nil),
            ExprKind::Field(names) => (dot.clone(), names),
            ExprKind::Variable(name, names) => (self.variable(expr, name)?, names),
            ExprKind::Chain(inner, names) => (self.argument(dot, inner, Param::Any)?, names),
            _ => (dot.clone(), &Vec::new()),
        };
        let Some((name, before)) = names.split_last() else {
            if !arguments.is_empty() || last.is_some() {
                return Err(self.error(
                    expr.offset,
                    expr,
                    format!("can't give argument to non-function {expr}"),
                ));
            }
            return Ok(receiver);
        };
        for field in before {
            receiver = self.field(dot, expr, &receiver, field, &[], None)?;
        }
        self.field(dot, expr, &receiver, name, arguments, last)
    }

    fn variable(&self, expr: &Expr, name: &str) -> Result<Value, Error> {
        self.variables
            .iter()
            .rev()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.clone())
            .ok_or_else(|| self.error(expr.offset, expr, format!("undefined variable: {name}")))
    }

    /// One name after a dot: a method, a field of a struct or an entry of a map.
    fn field(
        &mut self,
        dot: &Value,
        expr: &Expr,
        receiver: &Value,
        name: &str,
        arguments: &[Expr],
        last: Option<Value>,
    ) -> Result<Value, Error> {
        if let Some(signature) = receiver.method(name) {
            let values = self.arguments(dot, expr, signature, arguments, last)?;
            self.step(expr.offset, expr)?;
            return receiver.call_method(name, &values).map_err(|message| {
                self.error(
                    expr.offset,
                    expr,
                    format!("error calling {name}: {message}"),
                )
            });
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        match receiver.plain() {
            Value::Struct(fields) => {
                if let Some((_, value)) = fields.fields.iter().find(|(own, _)| *own == name) {
                    if has_arguments {
                        return Err(self.error(
                            expr.offset,
                            expr,
                            format!("{name} has arguments but cannot be invoked as function"),
                        ));
                    }
                    return Ok(value.clone());
                }
                let mut error = self.no_field(expr, receiver, name);
                if let Error::Execute { hint, .. } = &mut error {
                    *hint =
                        gameday_signal::nearest(name, fields.fields.iter().map(|(own, _)| *own))
                            .map(|near| format!("did you mean .{near}?"));
                }
                Err(error)
            }
            Value::Map(map) => {
                if has_arguments {
                    return Err(self.error(
                        expr.offset,
                        expr,
                        format!("{name} is not a method but has arguments"),
                    ));
                }
                Ok(map.entries.get(name).unwrap_or(&map.missing).clone())
            }
            // A nil interface, such as a key that a map of anything does not have.
            Value::Nil => Err(self.error(
                expr.offset,
                expr,
                format!("nil pointer evaluating interface {{}}.{name}"),
            )),
            _ => Err(self.no_field(expr, receiver, name)),
        }
    }

    fn no_field(&self, expr: &Expr, receiver: &Value, name: &str) -> Error {
        let type_name = receiver.type_name();
        self.error(
            expr.offset,
            expr,
            format!("can't evaluate field {name} in type {type_name}"),
        )
    }

    fn function(
        &mut self,
        dot: &Value,
        expr: &Expr,
        name: &str,
        context: &dyn Display,
        arguments: &[Expr],
        last: Option<Value>,
    ) -> Result<Value, Error> {
        self.step(expr.offset, context)?;
        let own = self.functions.signature(name);
        if own.is_none() && (name == "and" || name == "or") {
            return self.and_or(dot, expr, name, arguments, last);
        }
        let Some(signature) = own.or_else(|| builtins::signature(name)) else {
            return Err(self.error(
                expr.offset,
                expr,
                format!("{name:?} is not a defined function"),
            ));
        };
        let values = self.arguments(dot, expr, signature, arguments, last)?;
        let functions = self.functions;
        let result = if own.is_some() {
            functions.call(name, &values, self)
        } else {
            builtins::call(name, &values)
        };
        result.map_err(|message| {
            self.error(
                expr.offset,
                context,
                format!("error calling {name}: {message}"),
            )
        })
    }

    /// `and` and `or` evaluate no more arguments than they need.
    fn and_or(
        &mut self,
        dot: &Value,
        expr: &Expr,
        name: &str,
        arguments: &[Expr],
        last: Option<Value>,
    ) -> Result<Value, Error> {
        if arguments.is_empty() && last.is_none() {
            return Err(self.error(
                expr.offset,
                expr,
                format!("wrong number of args for {name}: want at least 1 got 0"),
            ));
        }
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.argument(dot, argument, Param::Any)?;
            if value.is_true() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// Evaluates the arguments of a call and checks them against what it takes.
    fn arguments(
        &mut self,
        dot: &Value,
        expr: &Expr,
        signature: &Signature,
        arguments: &[Expr],
        last: Option<Value>,
    ) -> Result<Vec<Value>, Error> {
        let given = arguments.len() + usize::from(last.is_some());
        let wanted = signature.params.len();
        let name = signature.name;
        if signature.rest.is_some() && given < wanted {
            let message =
                format!("wrong number of args for {name}: want at least {wanted} got {given}");
            return Err(self.error(expr.offset, expr, message));
        }
        if signature.rest.is_none() && given != wanted {
            let message = format!("wrong number of args for {name}: want {wanted} got {given}");
            return Err(self.error(expr.offset, expr, message));
        }
        let param = |index: usize| {
            let rest = signature.rest.unwrap_or(Param::Any);
            signature.params.get(index).copied().unwrap_or(rest)
        };
        let mut values = Vec::with_capacity(given);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(dot, argument, param(index))?);
        }
        if let Some(last) = last {
            let param = param(arguments.len());
            values.push(self.fitting(expr, last, param)?);
        }
        Ok(values)
    }

    /// The value of an argument where `param` is asked for.
    fn argument(&mut self, dot: &Value, expr: &Expr, param: Param) -> Result<Value, Error> {
        let value = match &expr.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Nil => {
                if matches!(param, Param::Any | Param::Strings | Param::List) {
                    return Ok(Value::Nil);
                }
                let wanted = param.type_name();
                return Err(self.error(
                    expr.offset,
                    expr,
                    format!("cannot assign nil to {wanted}"),
                ));
            }
            ExprKind::Field(_) | ExprKind::Variable(..) | ExprKind::Chain(..) => {
                self.fields(dot, expr, &[], None)?
            }
            ExprKind::Pipe(pipe) => self.pipeline(dot, pipe)?,
            ExprKind::Function(name) => self.function(dot, expr, name, expr, &[], None)?,
            ExprKind::Bool(_) | ExprKind::Str(..) | ExprKind::Number(_) => {
                return self.constant_for(expr, param);
            }
        };
        self.fitting(expr, value, param)
    }

    /// A constant as the type that its place asks for.
    fn constant_for(&self, expr: &Expr, param: Param) -> Result<Value, Error> {
        let refused = |kind: &str| {
            Err(self.error(expr.offset, expr, format!("expected {kind}; found {expr}")))
        };
        match (param, &expr.kind) {
            (Param::Any, ExprKind::Bool(truth)) => Ok(Value::Bool(*truth)),
            (Param::Any | Param::String, ExprKind::Str(text, _)) => Ok(Value::Str(text.clone())),
            (Param::Any, ExprKind::Number(number)) => Ok(constant(number)),
            (Param::Int, ExprKind::Number(Number { int: Some(int), .. })) => Ok(Value::Int(*int)),
            (Param::Float, ExprKind::Number(number)) => Ok(Value::Float(number.float)),
            (Param::Duration, ExprKind::Number(Number { int: Some(int), .. })) => {
                Ok(Value::Duration(*int))
            }
            (Param::String, _) => refused("string"),
            (Param::Int | Param::Duration, _) => refused("integer"),
            (Param::Float, _) => refused("float"),
            _ => {
                let wanted = param.type_name();
                Err(self.error(
                    expr.offset,
                    expr,
                    format!("can't handle {expr} for arg of type {wanted}"),
                ))
            }
        }
    }

    /// Checks that a computed value fits its place.
    fn fitting(&self, expr: &Expr, value: Value, param: Param) -> Result<Value, Error> {
        if param.accepts(&value) {
            return Ok(value);
        }
        let wanted = param.type_name();
        // What a value with methods is made of fits where its plain form does.
        if param.accepts(value.plain()) {
            return Ok(value.plain().clone());
        }
        let message = match &value {
            Value::Nil => format!("invalid value; expected {wanted}"),
            _ => format!(
                "wrong type for value; expected {wanted}; got {}",
                value.type_name()
            ),
        };
        Err(self.error(expr.offset, expr, message))
    }
}

/// The type that a number takes where nothing asks for one.
fn constant(number: &Number) -> Value {
    match number.int {
        Some(int) if !number.prefers_float => Value::Int(int),
        _ => Value::Float(number.float),
    }
}
