//! The query languages, for those who check or rewrite queries without a stack.

/// Divides every duration of a PromQL expression.
///
/// # Errors
/// Where the text is no expression: with line, column, the line underlined and a hint.
pub fn scale_promql(source: &str, divisor: u32) -> Result<String, String> {
    let mut expr = gameday_metrics::parse(source).map_err(|error| error.render(source, None))?;
    expr.scale_durations(f64::from(divisor));
    Ok(expr.to_string())
}

/// Divides every range and offset of a LogQL expression.
///
/// # Errors
/// Where the text is no expression, in Loki's words.
pub fn scale_logql(source: &str, divisor: u32) -> Result<String, String> {
    let expr = gameday_logs::parse_expr(source).map_err(|error| error.to_string())?;
    Ok(expr.scale_durations(f64::from(divisor)).to_string())
}

/// Checks a PromQL expression.
///
/// # Errors
/// Where the text is no expression: with line, column, the line underlined and a hint.
pub fn check_promql(source: &str) -> Result<(), String> {
    gameday_metrics::parse(source)
        .map(|_| ())
        .map_err(|error| error.render(source, None))
}

/// Checks a LogQL expression.
///
/// # Errors
/// Where the text is no expression, in Loki's words.
pub fn check_logql(source: &str) -> Result<(), String> {
    gameday_logs::parse_expr(source)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Checks a TraceQL query.
///
/// # Errors
/// Where the text is no query: with line, column, the line underlined and a hint.
pub fn check_traceql(source: &str) -> Result<(), String> {
    gameday_traces::TraceQuery::parse(source)
        .map(|_| ())
        .map_err(|error| error.render(source, None))
}
