//! What PromQL, LogQL and TraceQL share: source spans, lexer, Pratt parser, error rendering.
